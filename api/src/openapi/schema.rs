//! Schemas for OpenAPI from the types' own JSON Schemas: OpenAPI 3.1 is JSON Schema, so a type says
//! once what it takes and gives.
//!
//! A type of the wire derives `JsonSchema`. One that is the whole of an answer is also a line in
//! [`answers`], which tells utoipa about it; what is taken says so
//! through its extractor.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType};

/// Where the document keeps the schemas that it names.
const DEFINITIONS: &str = "/components/schemas";

/// Schemas that a type names, with their names.
pub(crate) type Named = Vec<(String, RefOr<Schema>)>;

/// A type's schema, and those that it names.
pub(super) struct Described {
    /// Often a reference to one of `named`.
    pub(super) schema: Value,
    /// By name.
    pub(super) named: Map<String, Value>,
}

impl Described {
    /// The schema itself, whether it has a name or not.
    pub(super) fn resolved(&self) -> &Value {
        let name = self.schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        name.and_then(|name| self.named.get(name)).unwrap_or(&self.schema)
    }
}

/// What is read as a `T`: members with a default may be absent.
pub(super) fn taken<T: JsonSchema + ?Sized>() -> Described {
    described::<T>(settings().for_deserialize().into_generator())
}

/// The same, without any names: parameters are described where they stand.
pub(super) fn taken_inline<T: JsonSchema + ?Sized>() -> Value {
    let inline = settings().for_deserialize().with(|settings| settings.inline_subschemas = true);
    described::<T>(inline.into_generator()).schema
}

/// What a `T` is written as: members are there unless they may be skipped.
pub(super) fn given<T: JsonSchema + ?Sized>() -> Described {
    described::<T>(settings().for_serialize().into_generator())
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = DEFINITIONS.into();
        settings.meta_schema = None;
    })
}

fn described<T: JsonSchema + ?Sized>(mut generator: SchemaGenerator) -> Described {
    let mut schema = generator.subschema_for::<T>().to_value();
    let mut named = generator.take_definitions(true);
    tidy(&mut schema);
    named.values_mut().for_each(tidy);
    #[cfg(test)]
    tests::assert_one_meaning(&named);
    Described { schema, named }
}

/// What generators of clients understand better in another form of the same meaning.
fn tidy(schema: &mut Value) {
    match schema {
        // "Anything" has two spellings.
        Value::Bool(true) => *schema = json!({}),
        Value::Object(members) => {
            names(members);
            number(members);
            pattern(members);
            for keyword in ["properties", "$defs"] {
                let nested = members.get_mut(keyword).and_then(Value::as_object_mut);
                nested.into_iter().flat_map(Map::values_mut).for_each(tidy);
            }
            for keyword in ["oneOf", "anyOf", "allOf", "prefixItems"] {
                let nested = members.get_mut(keyword).and_then(Value::as_array_mut);
                nested.into_iter().flatten().for_each(tidy);
            }
            members.get_mut("items").into_iter().for_each(tidy);
        }
        _ => {}
    }
}

/// Names that each have a comment are one enumeration, whose description has the comments.
fn names(members: &mut Map<String, Value>) {
    let Some(alternatives) = members.get("oneOf").and_then(Value::as_array) else { return };
    let mut listed = vec![];
    let mut text = members.get("description").and_then(Value::as_str).unwrap_or("").to_owned();
    for alternative in alternatives {
        let several = alternative["enum"].as_array().cloned();
        let names = several.or_else(|| Some(vec![alternative.get("const")?.clone()]));
        let Some(names) = names.filter(|names| names.iter().all(Value::is_string)) else { return };
        if let Some(comment) = alternative["description"].as_str() {
            let comment = comment.replace('\n', " ");
            text.push_str(&format!("\n* `{}`: {comment}", names[0].as_str().unwrap_or_default()));
        }
        listed.extend(names);
    }
    members.remove("oneOf");
    members.insert("type".into(), json!("string"));
    members.insert("enum".into(), Value::Array(listed));
    members.insert("description".into(), json!(text.trim_start()));
}

/// OpenAPI's formats of numbers are signed; what is not is bounded instead.
fn number(members: &mut Map<String, Value>) {
    let (format, maximum) = match members.get("format").and_then(Value::as_str) {
        Some("uint8" | "uint16") => ("int32", None),
        Some("uint32") => ("int64", Some(u32::MAX)),
        Some("uint64" | "uint") => ("int64", None),
        _ => return,
    };
    members.insert("format".into(), json!(format));
    if let Some(maximum) = maximum {
        members.entry("maximum").or_insert_with(|| json!(maximum));
    }
}

/// The types say what texts were ever recorded; what is taken from outside is less, and that is what a client needs.
fn pattern(members: &mut Map<String, Value>) {
    let recorded = members.get("pattern").and_then(Value::as_str);
    if let Some(pattern) = recorded.and_then(domain::pattern_from_outside) {
        members.insert("pattern".into(), json!(pattern));
    }
}

/// The words of an enumeration.
pub(crate) fn words_of<T: JsonSchema>() -> Vec<Value> {
    given::<T>().resolved()["enum"].as_array().cloned().unwrap_or_default()
}

/// A JSON Schema in utoipa's words. Its own model knows only some of the keywords, so it is given
/// all of them as what it writes out as it is.
pub(super) fn verbatim(schema: Value) -> RefOr<Schema> {
    let Value::Object(members) = schema else { return verbatim(json!({})) };
    let extensions: Extensions = members.into_iter().collect();
    let object =
        ObjectBuilder::new().schema_type(SchemaType::AnyValue).extensions(Some(extensions)).build();
    RefOr::T(Schema::Object(object))
}

/// For [`answers`]: the schema of an answer.
pub(crate) fn of_answer<T: JsonSchema>() -> RefOr<Schema> {
    verbatim(given::<T>().resolved().clone())
}

/// For [`answers`]: what the schema of an answer names.
pub(crate) fn named_by_answer<T: JsonSchema>(named: &mut Named) {
    named.extend(given::<T>().named.into_iter().map(|(name, schema)| (name, verbatim(schema))));
}

/// Tells utoipa that these types are answers, described by their own JSON Schemas.
macro_rules! answers {
    ($($answer:ty),+ $(,)?) => {$(
        impl utoipa::PartialSchema for $answer {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $crate::openapi::schema::of_answer::<Self>()
            }
        }

        impl utoipa::ToSchema for $answer {
            fn name() -> std::borrow::Cow<'static, str> {
                <Self as schemars::JsonSchema>::schema_name()
            }

            fn schemas(named: &mut $crate::openapi::schema::Named) {
                $crate::openapi::schema::named_by_answer::<Self>(named);
            }
        }
    )+};
}
pub(crate) use answers;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    static MEANINGS: Mutex<BTreeMap<String, Value>> = Mutex::new(BTreeMap::new());

    /// A name has one schema in the whole document: two types of one name would overwrite each
    /// other, and so would one type that is read in another form than it is written.
    pub(super) fn assert_one_meaning(named: &Map<String, Value>) {
        let mut meanings = MEANINGS.lock().expect("no other assertion failed");
        for (name, schema) in named {
            let meaning = meanings.entry(name.clone()).or_insert_with(|| schema.clone());
            assert_eq!(meaning, schema, "{name} has two meanings");
        }
    }

    #[derive(schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[expect(dead_code, reason = "only its schema is used")]
    enum Colour {
        /// Like the sky.
        Blue,
        Red,
    }

    #[test]
    fn names_with_comments_are_one_enumeration() {
        let described = given::<Colour>();
        assert_eq!(described.resolved()["enum"], json!(["red", "blue"]));
        assert_eq!(described.resolved()["description"], "* `blue`: Like the sky.");
        assert_eq!(words_of::<Colour>().len(), 2);
    }

    #[test]
    fn what_is_not_signed_is_bounded() {
        let bounded = json!({"type": "integer", "format": "int64", "minimum": 0,
            "maximum": u32::MAX});
        assert_eq!(given::<u32>().schema, bounded);
    }
}
