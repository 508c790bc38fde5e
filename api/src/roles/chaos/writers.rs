//! Several processes write to one database at once, and one follows. Nothing is broken on purpose:
//! they are each other's fault.

use super::check::Evidence;
use super::crew::{Crew, Manner};
use super::cycle::Cycle;

pub(super) async fn cycle(cycle: &mut Cycle<'_>) -> anyhow::Result<Evidence> {
    let crew = Crew::start(cycle, &cycle.urls(), Manner::default())?;
    crew.finish(cycle).await
}
