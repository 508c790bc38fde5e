//! Publishing, consuming and notifying against real servers.

mod audit;
mod cluster;
mod consumer;
mod faults;
mod foreign;
mod hints;
mod histories;
mod notify;
mod public_event;
mod relay;
mod smtp_sink;
mod support;
mod torn;
