//! What the shop says about itself in `/openapi.json`, and whether its answers are like that.

use crate::support::{Answer, Person};
use regex::Regex;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The description of all routes.
pub(crate) struct Contract(Value);

/// One route and method.
#[derive(Clone, Copy)]
pub(crate) struct Operation<'a> {
    /// In small letters, as the document has it.
    method: &'a str,
    /// With its parameters in braces.
    pub(crate) path: &'a str,
    pub(crate) described: &'a Value,
}

impl Contract {
    /// Asks the shop.
    pub(crate) async fn of(visitor: &Person) -> Self {
        let answer = visitor.get("/openapi.json").await;
        Self(answer.expect(StatusCode::OK).clone())
    }

    /// Everything that can be asked of the shop.
    pub(crate) fn operations(&self) -> Vec<Operation<'_>> {
        let paths = object(&self.0["paths"]).iter();
        paths
            .flat_map(|(path, item)| {
                let methods = object(item).iter();
                methods.map(move |(method, described)| Operation { method, path, described })
            })
            .collect()
    }

    /// The operation `METHOD /path` with its parameters in braces.
    pub(crate) fn operation(&self, name: &str) -> Operation<'_> {
        let found = self.operations().into_iter().find(|operation| operation.name() == name);
        found.unwrap_or_else(|| panic!("{name} is not described"))
    }

    /// The schema of what the operation takes.
    pub(crate) fn body_of<'a>(&self, operation: Operation<'a>) -> Option<&'a Value> {
        let body = operation.described.get("requestBody")?;
        Some(&body["content"]["application/json"]["schema"])
    }

    /// The members that its body must have.
    pub(crate) fn required<'a>(&'a self, operation: Operation<'a>) -> Vec<&'a str> {
        let schema = self.body_of(operation).map(|schema| self.essential(schema));
        let required = schema.and_then(|schema| schema["required"].as_array());
        required.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Whether the answer to the operation is one that the document announces.
    #[track_caller]
    pub(crate) fn assert_announces(&self, operation: Operation<'_>, answer: &Answer) {
        let (name, status) = (operation.name(), answer.status.as_u16().to_string());
        let described = self.resolved(&operation.described["responses"][&status]);
        assert!(described.is_object(), "{name} does not announce {status}: {}", answer.text);
        for header in object(&self.0["components"]["headers"]).keys() {
            let announced = described["headers"].get(header);
            assert!(
                announced.is_some() || answer.header(header).is_none(),
                "{name} {status} does not announce {header}"
            );
            if let (Some(announced), Some(text)) = (announced, answer.header(header)) {
                let schema = &self.resolved(announced)["schema"];
                let number = text.parse().ok().filter(|_: &u64| schema["type"] == "integer");
                let value = number.map_or_else(|| Value::from(text), Value::from);
                let misfit = self.misfit(schema, &value, header);
                assert_eq!(misfit, None, "{name} {status}");
            }
        }
        let kind = answer.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        match described["content"].as_object() {
            None => assert!(answer.text.is_empty(), "{name} {status}: {}", answer.text),
            Some(kinds) => {
                let media = kinds.get(kind).unwrap_or_else(|| panic!("{name} {status}: {kind:?}"));
                if kind.ends_with("json") {
                    let misfit = self.misfit(&media["schema"], &answer.body, "");
                    assert_eq!(misfit, None, "{name} {status}: {}", answer.text);
                }
            }
        }
    }

    /// What a reference stands for, or the value itself.
    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else { return value };
        let pointer = reference.strip_prefix('#').expect("references stay in the document");
        self.0.pointer(pointer).expect("references lead somewhere")
    }

    /// What a reference stands for, or the schema itself; without the alternative of being null.
    pub(crate) fn essential<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let named = self.resolved(schema);
        if !std::ptr::eq(named, schema) {
            return self.essential(named);
        }
        let mut alternatives = alternatives(schema).filter(|one| one["type"] != "null");
        match (alternatives.next(), alternatives.next()) {
            (Some(only), None) => self.essential(only),
            _ => schema,
        }
    }

    /// Why a value is not like the schema, if it is not. A member that the schema does not name is
    /// a misfit, too: whoever reads the document would not know of it.
    fn misfit(&self, schema: &Value, value: &Value, at: &str) -> Option<String> {
        let may_be_null = alternatives(schema).any(|one| one["type"] == "null");
        if value.is_null() && may_be_null {
            return None;
        }
        let schema = self.essential(schema);
        if let Some(kinds) = schema.get("type") {
            let kinds: Vec<_> =
                kinds.as_array().map_or(vec![kinds], |kinds| kinds.iter().collect());
            if !kinds.iter().any(|kind| is_a(value, kind.as_str().unwrap_or_default())) {
                return Some(format!("{at}: expected {kinds:?}, got {value}"));
            }
        }
        match value {
            Value::Object(members) => self.misfit_of_members(schema, members, at),
            Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
                self.misfit(&schema["items"], item, &format!("{at}/{index}"))
            }),
            Value::String(text) => misfit_of_text(schema, text, at),
            Value::Number(number) => {
                let number = number.as_i64()?;
                let below = schema["minimum"].as_i64().is_some_and(|least| number < least);
                let above = schema["maximum"].as_i64().is_some_and(|most| number > most);
                (below || above).then(|| format!("{at}: {number} is out of range"))
            }
            Value::Null | Value::Bool(_) => None,
        }
    }

    fn misfit_of_members(
        &self,
        schema: &Value,
        members: &Map<String, Value>,
        at: &str,
    ) -> Option<String> {
        let (mut known, mut required) = (BTreeMap::new(), vec![]);
        self.collect(schema, &mut known, &mut required);
        // Without properties an object is free in what it holds.
        if known.is_empty() {
            return None;
        }
        if let Some(missing) = required.iter().find(|name| !members.contains_key(**name)) {
            return Some(format!("{at}/{missing} is missing"));
        }
        members.iter().find_map(|(name, member)| match known.get(name.as_str()) {
            Some(schema) => self.misfit(schema, member, &format!("{at}/{name}")),
            None => Some(format!("{at}/{name} is not documented")),
        })
    }

    /// The properties of an object that may be put together from several.
    fn collect<'a>(
        &'a self,
        schema: &'a Value,
        known: &mut BTreeMap<&'a str, &'a Value>,
        required: &mut Vec<&'a str>,
    ) {
        let schema = self.essential(schema);
        let properties = schema["properties"].as_object().into_iter().flatten();
        known.extend(properties.map(|(name, schema)| (name.as_str(), schema)));
        required
            .extend(schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.collect(part, known, required);
        }
    }
}

impl<'a> Operation<'a> {
    /// `METHOD /path`.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method(), self.path)
    }

    pub(crate) fn method(&self) -> Method {
        Method::from_bytes(self.method.to_uppercase().as_bytes()).expect("a method")
    }

    /// Whether it may change something.
    pub(crate) fn is_unsafe(&self) -> bool {
        self.method != "get"
    }

    /// Whether it is one of the shop's own, as opposed to the probes and the like at the root.
    pub(crate) fn is_of_the_shop(&self) -> bool {
        self.path.starts_with("/api/v1/")
    }

    /// Whether the document says that anybody may call it.
    pub(crate) fn is_public(&self) -> bool {
        let alternatives = self.described["security"].as_array().into_iter().flatten();
        alternatives.into_iter().any(|one| one.as_object().is_some_and(Map::is_empty))
    }

    /// Whether it says that it takes this parameter, and whether it must be given.
    pub(crate) fn parameter(&self, place: &str, name: &str) -> Option<bool> {
        let parameters = self.described["parameters"].as_array().into_iter().flatten();
        let mut named = parameters.filter(|one| one["in"] == place && one["name"] == name);
        named.next().map(|one| one["required"] == true)
    }

    /// The most that a number of the query may be.
    pub(crate) fn maximum(&self, name: &str) -> Option<u64> {
        let parameters = self.described["parameters"].as_array().into_iter().flatten();
        let mut named = parameters.filter(|one| one["in"] == "query" && one["name"] == name);
        named.next()?["schema"]["maximum"].as_u64()
    }

    /// The path with something in the place of its parameters: `id` for every `{id}` that is one, the
    /// document's examples for the others.
    pub(crate) fn sample_path(&self, id: &str) -> String {
        let segment = |segment: &'a str| {
            let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let Some(name) = name else { return segment.to_owned() };
            let parameters = self.described["parameters"].as_array().into_iter().flatten();
            let parameter = parameters.into_iter().find(|one| one["name"] == name);
            let parameter = parameter.unwrap_or_else(|| panic!("{name} is not described"));
            if name == "id" && misfit_of_text(&parameter["schema"], id, name).is_none() {
                return id.to_owned();
            }
            let example = parameter["example"].as_str();
            example.unwrap_or_else(|| panic!("an example for {name}?")).to_owned()
        };
        self.path.split('/').map(segment).collect::<Vec<_>>().join("/")
    }

    /// The path as [`Self::sample_path`], with those parameters of the query that must be given.
    pub(crate) fn sample_url(&self, id: &str) -> String {
        let parameters = self.described["parameters"].as_array().into_iter().flatten();
        let required = parameters.filter(|one| one["in"] == "query" && one["required"] == true);
        let given = required.map(|one| {
            let text = |member: &str| one[member].as_str().expect("an example").to_owned();
            format!("{}={}", text("name"), text("example"))
        });
        let given = given.collect::<Vec<_>>().join("&");
        let path = self.sample_path(id);
        if given.is_empty() { path } else { format!("{path}?{given}") }
    }
}

/// Of what a value may be one.
fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    let all = ["oneOf", "anyOf"].map(|keyword| schema[keyword].as_array());
    all.into_iter().flatten().flatten()
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("no such type: {unknown}"),
    }
}

fn misfit_of_text(schema: &Value, text: &str, at: &str) -> Option<String> {
    let matches = |pattern: &str| Regex::new(pattern).expect("a pattern").is_match(text);
    let pattern = match schema["format"].as_str() {
        // In their canonical spelling, and of the one version that the contract has.
        Some("uuid") => {
            Some("^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        }
        Some("date-time") => Some(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"),
        _ => schema["pattern"].as_str(),
    };
    let listed = schema["enum"].as_array().is_none_or(|names| names.iter().any(|one| one == text));
    let fits = listed && pattern.is_none_or(matches);
    (!fits).then(|| format!("{at}: {text:?} is not like {schema}"))
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("expected an object: {value}"))
}
