//! Reads `domain/src/*/events.rs`: the one place where events are described.
//!
//! Not a Rust parser. It understands rustfmt's layout of what those files may hold, and the tests
//! compare what it found with what the crate says, so that nothing can be overlooked.

use domain::{AGGREGATES, AggregateEvents};

/// An aggregate's events and the types that only they use.
pub(crate) struct Aggregate {
    pub(crate) name: &'static str,
    /// The rules, from the head of `mod.rs`.
    pub(crate) about: String,
    pub(crate) versions: &'static [(&'static str, u32)],
    /// What the file says of the events as a whole; it names the stream's id.
    pub(crate) summary: String,
    pub(crate) events: Vec<Described>,
    pub(crate) structures: Vec<Described>,
    pub(crate) values: Vec<Described>,
}

/// An event, a structure, or a type with few values.
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) text: String,
    /// Fields; of a type with few values, the values.
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Field {
    pub(crate) name: String,
    /// As Rust spells it; empty for a value.
    pub(crate) rust_type: String,
    pub(crate) text: String,
    pub(crate) may_be_absent: bool,
}

/// Every aggregate, in the order of [`AGGREGATES`].
pub(crate) fn aggregates(read: impl Fn(&str) -> String) -> Vec<Aggregate> {
    let of = |AggregateEvents { aggregate_type: name, current: versions, .. }: &AggregateEvents| {
        let head = read(&format!("domain/src/{name}/mod.rs"));
        let about = head.lines().next().unwrap_or_default().trim_start_matches("//! ").to_owned();
        let mut aggregate = Aggregate {
            name,
            about,
            versions,
            summary: String::new(),
            events: vec![],
            structures: vec![],
            values: vec![],
        };
        Reader::default().read(&read(&format!("domain/src/{name}/events.rs")), &mut aggregate);
        aggregate
    };
    AGGREGATES.iter().map(of).collect()
}

/// What the line being read is within.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Within {
    #[default]
    Nothing,
    Structure,
    Values,
    Events,
    Event,
}

#[derive(Default)]
struct Reader {
    within: Within,
    /// The comment above the line.
    comment: String,
    /// The attributes above the line.
    attributes: String,
    /// Whether the values are written in lower case.
    lower_case: bool,
    /// Whether the type is written as one text, so that its variants are nobody's business.
    is_text: bool,
}

impl Reader {
    fn read(mut self, source: &str, into: &mut Aggregate) {
        for line in source.lines() {
            let text = line.trim();
            if let Some(comment) = text.strip_prefix("///") {
                if !self.comment.is_empty() {
                    self.comment.push(' ');
                }
                self.comment.push_str(comment.trim());
            } else if text.starts_with("#[") {
                self.attributes.push_str(text);
            } else {
                self.item(line, text, into);
                self.comment.clear();
                self.attributes.clear();
            }
        }
    }

    fn item(&mut self, line: &str, text: &str, into: &mut Aggregate) {
        let indent = line.len() - line.trim_start().len();
        match (self.within, indent, text) {
            (_, 0, "}") => self.within = Within::Nothing,
            (Within::Event, 4, "},") => self.within = Within::Events,
            (Within::Nothing, 0, _) => self.begin(text, into),
            (Within::Events, 4, _) => {
                let Some((name, rest)) = text.split_once(" {") else { return };
                into.events.push(self.described(name));
                self.within = if rest == "}," { Within::Events } else { Within::Event };
            }
            (Within::Event, 8, _) => self.field(text, into.events.last_mut()),
            (Within::Structure, 4, _) => {
                let field = text.trim_start_matches("pub ");
                self.field(field, into.structures.last_mut());
            }
            (Within::Values, 4, _) if !self.is_text => {
                let name = text.trim_end_matches(',').split('(').next().unwrap_or(text);
                let name = if self.lower_case { snake_case(name) } else { name.to_owned() };
                let (rust_type, may_be_absent) = (String::new(), false);
                let field = Field { name, rust_type, text: self.comment.clone(), may_be_absent };
                if let Some(last) = into.values.last_mut() {
                    last.fields.push(field);
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, text: &str, into: &mut Aggregate) {
        let named = |prefix: &str| text.strip_prefix(prefix)?.strip_suffix(" {");
        if let Some(name) = named("pub struct ") {
            into.structures.push(self.described(name));
            self.within = Within::Structure;
        } else if let Some(name) = named("pub enum ") {
            if name.ends_with("Event") {
                into.summary.clone_from(&self.comment);
                self.within = Within::Events;
            } else {
                into.values.push(self.described(name));
                self.lower_case = self.attributes.contains("rename_all");
                self.is_text = self.attributes.contains("into = \"String\"");
                self.within = Within::Values;
            }
        }
    }

    fn described(&self, name: &str) -> Described {
        Described { name: name.to_owned(), text: self.comment.clone(), fields: vec![] }
    }

    fn field(&self, text: &str, of: Option<&mut Described>) {
        let (Some((name, rust_type)), Some(of)) = (text.split_once(": "), of) else { return };
        of.fields.push(Field {
            name: name.to_owned(),
            rust_type: rust_type.trim_end_matches(',').to_owned(),
            text: self.comment.clone(),
            // A default is for what was written before there was the field.
            may_be_absent: ["skip_serializing_if", "serde(default"]
                .iter()
                .any(|attribute| self.attributes.contains(attribute)),
        });
    }
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}
