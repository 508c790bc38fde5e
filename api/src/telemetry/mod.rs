//! What can be seen of the running process: logs, metrics, and which request they belong to.

pub mod context;
mod lag;
mod logs;
mod metrics;
mod observe;
mod write_side;
mod writer;

pub use context::{RequestContext, TraceContext, spawn};
pub(crate) use lag::{show_history, show_projections, show_relay};
#[cfg(test)]
pub(crate) use logs::subscriber;
pub use logs::{LogError, init_logs};
pub use metrics::{Metrics, MetricsError};
pub(crate) use observe::{method_label, note_route, observe};
pub(crate) use write_side::show_write_side;
pub use writer::flush_logs;
