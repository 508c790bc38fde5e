//! x
pub mod auth;
pub mod edge;
pub mod guard;
pub mod http;
pub mod limits;
pub mod telemetry;
