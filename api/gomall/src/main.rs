//! The one binary. What it does is in the library, so that tests can use its types.

use std::process::ExitCode;

/// Many small allocations on many threads are what a server does all day.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gomall::main()
}
