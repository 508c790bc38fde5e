//! Validates JSON against those parts of JSON Schema that the events' schemas use. A keyword that it
//! does not know fails the test: nothing is taken for valid because it was not looked at.

use regex::Regex;
use serde_json::Value;
use uuid::Uuid;

/// What `schema`, which is complete in itself, has against `value`; empty when it is valid.
pub(crate) fn complaints(schema: &Value, value: &Value) -> Vec<String> {
    let mut validation = Validation { root: schema, complaints: vec![] };
    validation.check(schema, value, "");
    validation.complaints
}

struct Validation<'a> {
    root: &'a Value,
    complaints: Vec<String>,
}

impl Validation<'_> {
    fn check(&mut self, schema: &Value, value: &Value, at: &str) {
        let keywords = schema.as_object().expect("a schema is an object");
        for (keyword, demand) in keywords {
            if !self.holds(schema, keyword, demand, value, at) {
                self.complaints.push(format!("{at}: {keyword} {demand} against {value}"));
            }
        }
    }

    fn holds(
        &mut self,
        schema: &Value,
        keyword: &str,
        demand: &Value,
        value: &Value,
        at: &str,
    ) -> bool {
        match keyword {
            "$schema" | "$defs" | "description" | "default" | "x-personal" => true,
            "$ref" => {
                let path = demand.as_str().and_then(|path| path.strip_prefix('#'));
                let named = path.and_then(|path| self.root.pointer(path)).cloned();
                self.check(&named.expect("what is named is there"), value, at);
                true
            }
            "type" => match demand {
                Value::Array(types) => types.iter().any(|one| is_of_type(one, value)),
                one => is_of_type(one, value),
            },
            "format" => match demand.as_str() {
                Some("uuid") => value.as_str().is_none_or(|text| Uuid::parse_str(text).is_ok()),
                Some("int32") => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
                Some("int64") => value.is_i64(),
                Some("uint32") => {
                    value.as_u64().is_some_and(|number| u32::try_from(number).is_ok())
                }
                // `pattern` says it more closely.
                Some("date-time") => true,
                _ => panic!("{at}: format {demand} is not known here"),
            },
            "enum" => members(demand).contains(value),
            "const" => demand == value,
            "pattern" => value.as_str().is_none_or(|text| {
                let pattern = demand.as_str().expect("a pattern is text");
                Regex::new(pattern).expect("a pattern is valid").is_match(text)
            }),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() >= size(demand)),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() <= size(demand)),
            "maxItems" => value.as_array().is_none_or(|items| items.len() <= size(demand)),
            "uniqueItems" => value.as_array().is_none_or(|items| {
                demand != &Value::Bool(true)
                    || items.iter().enumerate().all(|(at, item)| !items[..at].contains(item))
            }),
            "minimum" => value.as_i64().is_none_or(|number| number >= integer(demand)),
            "maximum" => value.as_i64().is_none_or(|number| number <= integer(demand)),
            "anyOf" => self.valid_branches(demand, value) >= 1,
            "oneOf" => self.valid_branches(demand, value) == 1,
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.check(demand, item, &format!("{at}/{index}"));
                }
                true
            }
            "properties" => {
                for (name, schema) in demand.as_object().expect("properties are an object") {
                    if let Some(member) = value.get(name) {
                        self.check(schema, member, &format!("{at}/{name}"));
                    }
                }
                true
            }
            "required" => members(demand)
                .iter()
                .all(|name| value.get(name.as_str().expect("a name is text")).is_some()),
            "additionalProperties" => {
                assert_eq!(demand, &Value::Bool(false), "{at}: only closing is known here");
                let known = schema["properties"].as_object().expect("a closed object has members");
                let members = value.as_object().into_iter().flatten();
                members.into_iter().all(|(name, _)| known.contains_key(name))
            }
            _ => panic!("{at}: {keyword} is not known here"),
        }
    }

    fn valid_branches(&self, branches: &Value, value: &Value) -> usize {
        let is_valid = |branch: &&Value| {
            let mut validation = Validation { root: self.root, complaints: vec![] };
            validation.check(branch, value, "");
            validation.complaints.is_empty()
        };
        members(branches).iter().filter(is_valid).count()
    }
}

fn is_of_type(name: &Value, value: &Value) -> bool {
    match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => panic!("type {name} is not known here"),
    }
}

fn integer(demand: &Value) -> i64 {
    demand.as_i64().expect("a bound is an integer")
}

fn size(demand: &Value) -> usize {
    usize::try_from(integer(demand)).expect("a size is not negative")
}

fn members(demand: &Value) -> &[Value] {
    demand.as_array().expect("a list")
}
