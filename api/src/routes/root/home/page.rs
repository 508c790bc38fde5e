//! The page that somebody sees who opens the shop's address.

use super::{Home, HomeStatus, HowFar, Links};
use std::fmt::Write as _;

/// The page has no script and asks for nothing.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}\
                     table{border-collapse:collapse}td,th{padding:.2rem 1.5rem .2rem 0;text-align:left}\
                     td+td,th+th{text-align:right}";

/// Everything on it is ours: words of the source, and numbers.
pub(super) fn page(home: &Home) -> String {
    let Home { name, version, status, degraded, journal_position, read_models, links } = home;
    let status = match status {
        HomeStatus::Ok => "It runs.".to_owned(),
        HomeStatus::Degraded => format!("It runs, but not everything: {}.", degraded.join(", ")),
        HomeStatus::Starting => "It is starting.".to_owned(),
        HomeStatus::Draining => "It is stopping.".to_owned(),
    };
    let journal = match journal_position {
        Some(position) => format!("The journal is at position {position}."),
        None => "The database does not say how far the journal is.".to_owned(),
    };
    let mut rows = String::new();
    for HowFar { name, position, lag } in read_models {
        let behind = match lag {
            0 => "up to date".to_owned(),
            lag => format!("{lag} behind"),
        };
        write!(rows, "<tr><td>{name}</td><td>{position}</td><td>{behind}</td></tr>")
            .expect("memory can be written to");
    }
    let Links { docs, openapi, events, guide } = links;
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{name}</title>
    <style>{STYLE}</style>
  </head>
  <body>
    <h1>{name}</h1>
    <p>The back end of a shop, event-sourced. Version {version}. {status}</p>
    <ul>
      <li><a href="{docs}">The API</a>, to be browsed and tried, or <a href="{openapi}">for programs</a></li>
      <li><a href="{events}">The event types</a>, and what they hold</li>
      <li><a href="{guide}">The guide</a>: from nothing to a paid order, with curl</li>
    </ul>
    <p>{journal}</p>
    <table>
      <tr><th>Read model</th><th>Position</th><th></th></tr>
      {rows}
    </table>
  </body>
</html>
"#
    )
}
