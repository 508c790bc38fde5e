//! A migration that was added is noticed: the macro that compiles them in only sees those it knows.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
