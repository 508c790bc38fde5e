//! Writes `docs/events.md` from what `source.rs` found.

use super::source::{Aggregate, Described, Field};
use domain::{AGGREGATES, PublicMember, PublicShape};
use std::fmt::Write;

/// What only the holder of a person's key reads.
const SEALED: &str = "sealed";

const INTRODUCTION: &str = "\
# Events

Generated from `domain/src/*/events.rs` by `api/gomall/tests/documents/docs.rs`; written anew with
`GOMALL_BLESS=1 cargo test -p gomall --test documents`.

Everything that happens is an event in the table `events`. An event is never changed and never
removed. An example of each, as it is stored, lies in [`domain/tests/golden`](../domain/tests/golden), its JSON
Schema in [`event-schemas.json`](event-schemas.json).

## What readers get

`GET /api/v1/events` and JetStream carry the same bytes: one CloudEvents 1.0 object per event.
Of an event's fields readers get those that
[`domain/src/public/shapes.rs`](../domain/src/public/shapes.rs) lists: of those in the tables below all that are neither
sealed nor marked as not public. The JSON Schemas of the whole object and of every version's `data` are in
[`public-event-schemas.json`](public-event-schemas.json); `GET /api/v1/event-types` has the latter as well.

| member | what it is |
|---|---|
| `specversion` | `1.0` |
| `id` | the event's id, unique for ever |
| `source` | `/gomall` |
| `type` | `gomall.<aggregate>.<event>.v<version>` |
| `subject` | `<aggregate>/<aggregate id>` |
| `time` | when it was appended, UTC, on the database's clock; never goes back with growing position |
| `datacontenttype` | `application/json` |
| `position` | its place in the one order of all events: 1, 2, 3, … without a gap |
| `sequence` | its place in its aggregate's stream: 1, 2, 3, … |
| `actor` | `user:<id>`, `anonymous` or `system:<process>` |
| `correlationid` | one id for everything that one request led to; null when unknown |
| `causationid` | what led directly to it; null when unknown |
| `traceparent` | the request's W3C trace context; null without |
| `data` | the event's public fields, of those below |

On JetStream the stream is `GOMALL`, the subject `gomall.<aggregate>.<event>`, and the message's
sequence is the event's position. The headers `Gomall-Event-Id` and `Gomall-Aggregate-Id` repeat
two members. An event that is too large for the server, or newer than the build that publishes it, goes out with
`\"data\": null`, `\"oversized\": true` and a `dataref` to fetch it from.

## How to read the tables

* **Money** is `{\"amount\": 990, \"currency\": \"USD\"}`: minor units and an ISO 4217 code.
* **Time** is RFC 3339 in UTC with milliseconds.
* **Sealed** fields hold personal data, encrypted with a key of that person's own. The journal has
  them, readers of events never do.
* Fields that are **not public** are for the shop itself: hashes, and what staff wrote in words of their own,
  which may speak of somebody. An event of before that was published with one keeps it in a stream until
  that is filled anew; see [operations](operations.md#what-is-not-public-any-more).
* A field is always there, null where it says so, unless it may be absent.
* A reader ignores members that it does not know: fields may be added to an event.
";

/// The whole document.
pub(crate) fn document(aggregates: &[Aggregate]) -> String {
    let mut text = INTRODUCTION.to_owned();
    for aggregate in aggregates {
        describe(&mut text, aggregate);
    }
    text
}

fn describe(text: &mut String, aggregate: &Aggregate) {
    let Aggregate { name, about, versions, summary, events, structures, values } = aggregate;
    line(text, &format!("\n## {name}\n\n{about}\n\n{summary}\n"));
    line(text, "| event | version | what happened | fields |\n|---|---|---|---|");
    for event in events {
        let version = versions.iter().find(|(known, _)| *known == event.name);
        let number = version.map_or(0, |(_, version)| *version);
        let shape =
            version.and_then(|(_, version)| PublicShape::of(&event.name, &version.to_string()));
        let public = names(shape.into_iter().flat_map(|shape| shape.members));
        let fields: Vec<_> = event.fields.iter().map(|one| field(one, &public)).collect();
        let fields = if fields.is_empty() { "none".to_owned() } else { fields.join("<br>") };
        line(text, &format!("| `{}` | {number} | {} | {fields} |", event.name, event.text));
    }
    if !structures.is_empty() || !values.is_empty() {
        line(text, "\n| type | what it is | holds |\n|---|---|---|");
    }
    let shapes = AGGREGATES.iter().filter(|of| of.aggregate_type == *name).flat_map(|of| of.public);
    let inner = shapes.flat_map(|shape| shape.members).filter_map(|member| member.members);
    let public = names(inner.flatten());
    for structure in structures {
        let fields: Vec<_> = structure.fields.iter().map(|one| field(one, &public)).collect();
        row(text, structure, &fields.join("<br>"));
    }
    for value in values {
        let known: Vec<_> =
            value.fields.iter().map(|one| format!("`{}`: {}", one.name, one.text)).collect();
        let holds = if known.is_empty() { "text".to_owned() } else { known.join("<br>") };
        row(text, value, &holds);
    }
}

fn row(text: &mut String, described: &Described, holds: &str) {
    line(text, &format!("| {} | {} | {holds} |", described.name, described.text));
}

/// The names of members that readers get.
fn names(members: impl Iterator<Item = &'static PublicMember>) -> Vec<&'static str> {
    members.filter(|member| !member.withdrawn).map(|member| member.name).collect()
}

fn field(field: &Field, public: &[&str]) -> String {
    let Field { name, rust_type, text, may_be_absent } = field;
    let kind = in_words(rust_type);
    let absent = if *may_be_absent { ", may be absent" } else { "" };
    let is_known = kind == SEALED || public.contains(&name.as_str());
    let closed = if is_known { "" } else { ", not public" };
    format!("`{name}` ({kind}{absent}{closed}): {text}")
}

/// A Rust type as a reader of JSON sees it.
fn in_words(rust_type: &str) -> String {
    let inner = |outer: &str| rust_type.strip_prefix(outer)?.strip_suffix('>');
    if let Some(inner) = inner("Option<") {
        return format!("{} or null", in_words(inner));
    }
    if let Some(inner) = inner("Vec<") {
        return format!("list of {}", in_words(inner));
    }
    if rust_type == "SealedSecret" || rust_type == "BanReason" || inner("Sealed<").is_some() {
        return SEALED.to_owned();
    }
    match rust_type {
        id if id.ends_with("Id") => "UUID",
        "String" | "Sku" | "Slug" | "Name" | "Text" | "Reason" | "RoleName" | "Locale" => "text",
        "u32" | "i32" | "i64" => "integer",
        "Quantity" => "integer, 1 to 999",
        "Money" => "money",
        "Timestamp" => "time",
        "ipnet::IpNet" => "network as text",
        // A type of the same file, described below the events.
        other => other,
    }
    .to_owned()
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing into memory cannot fail");
}
