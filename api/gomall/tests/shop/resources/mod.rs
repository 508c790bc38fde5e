//! The story of each resource through HTTP, in a file of its folder's name in `api/src/routes`: what it
//! answers, and each refusal with its code. What holds for every route is in `conventions`.

mod audit;
mod bans;
mod catalogue;
mod credentials;
mod dead_letters;
mod event_types;
mod events;
mod permission_rules;
mod products;
mod public_paths;
mod stock;
mod users;
