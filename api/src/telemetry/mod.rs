//! What can be seen of the running process: logs, metrics, and which request they belong to.

pub mod context;
mod logs;
mod metrics;
mod observe;

pub use context::{RequestContext, TraceContext};
pub use logs::{InvalidFilter, init_logs};
pub use metrics::{Metrics, MetricsError};
#[cfg(test)]
pub(crate) use logs::subscriber;
pub(crate) use observe::{note_route, observe};
