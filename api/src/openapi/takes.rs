//! What a handler takes, said by the types of its arguments: headers, parameters and the body are
//! in the document because an extractor takes them, and for no other reason.
//!
//! The next extractor implements [`Takes`]; without it the handler's route does not compile.

use super::schema::{self, Described, Named};
use serde_json::{Map, Value};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{ContentBuilder, Header, RefOr, Required, ResponseBuilder};
use utoipa_axum::router::UtoipaMethodRouter;

/// What a segment of a path may be for the guard, but for a dot at its beginning, which no name of ours has.
const SEGMENT: &str = "^[A-Za-z0-9_~-][A-Za-z0-9._~-]*$";

/// An extractor that says what it takes out of a request.
pub(crate) trait Takes {
    /// Adds it to the description. Most of what only comes from ourselves adds nothing.
    fn describe(_: &mut Sketch<'_>) {}
}

/// The description of an operation while it is made.
pub(crate) struct Sketch<'a> {
    path: &'a str,
    operation: &'a mut Operation,
    named: &'a mut Named,
}

impl Sketch<'_> {
    /// A header.
    pub(crate) fn header(&mut self, name: &str, required: bool, description: &str, schema: Value) {
        self.parameter(ParameterIn::Header, name, required, Some(description), schema);
    }

    /// An answer that the extractor gives in the handler's place.
    pub(crate) fn answers(&mut self, status: u16) {
        let responses = &mut self.operation.responses.responses;
        let answer = || RefOr::T(ResponseBuilder::new().build());
        responses.entry(status.to_string()).or_insert_with(answer);
    }

    /// The same, and why: the codes that belong to this extractor alone.
    pub(crate) fn answers_with(&mut self, status: u16, why: &str) {
        let responses = &mut self.operation.responses.responses;
        let answer = ResponseBuilder::new().description(why).build();
        responses.insert(status.to_string(), RefOr::T(answer));
    }

    /// A header of every success.
    pub(crate) fn gives(&mut self, header: &str) {
        self.give(header, |status| status.starts_with('2'));
    }

    /// A header of the answer with this status.
    pub(crate) fn gives_with(&mut self, status: u16, header: &str) {
        let wanted = status.to_string();
        self.give(header, |status| status == wanted);
    }

    fn give(&mut self, header: &str, wanted: impl Fn(&str) -> bool) {
        for (status, response) in &mut self.operation.responses.responses {
            if let RefOr::T(response) = response
                && wanted(status)
            {
                response.headers.insert(header.to_owned(), RefOr::T(Header::default()));
            }
        }
    }

    /// The parameters of a query: the members of a `T`.
    pub(crate) fn query<T: schemars::JsonSchema>(&mut self) {
        let mut schema = schema::taken_inline::<T>();
        let required = schema["required"].take();
        let Some(members) = schema["properties"].as_object_mut() else { return };
        for (name, schema) in std::mem::take(members) {
            let required =
                required.as_array().is_some_and(|all| all.iter().any(|one| *one == name));
            let schema = without_null(schema);
            self.parameter(ParameterIn::Query, &name, required, None, schema);
        }
        self.answers(422);
    }

    /// The parameters of the path: a `T`, or the parts of a tuple, in the path's order.
    pub(crate) fn path<T: schemars::JsonSchema>(&mut self) {
        let Described { schema, named } = schema::taken::<T>();
        self.name(named);
        let parts = schema["prefixItems"].as_array().cloned().unwrap_or_else(|| vec![schema]);
        let segments = self.path.split('/');
        let names = segments.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let names: Vec<String> = names.map(str::to_owned).collect();
        assert_eq!(names.len(), parts.len(), "{}: a type for every parameter", self.path);
        for (name, mut schema) in names.iter().zip(parts) {
            let says_which = ["$ref", "format", "pattern", "enum"].map(|word| schema.get(word));
            if schema["type"] == "string" && says_which == [None; 4] {
                schema["pattern"] = SEGMENT.into();
            }
            self.parameter(ParameterIn::Path, name, true, None, schema);
        }
        self.answers(404);
    }

    /// A JSON body, unless a `T` has no members.
    pub(crate) fn body<T: schemars::JsonSchema>(&mut self) {
        let described = schema::taken::<T>();
        if described.resolved()["properties"].is_null() {
            return;
        }
        let content = ContentBuilder::new().schema(Some(schema::verbatim(described.schema)));
        let body = RequestBodyBuilder::new()
            .content("application/json", content.build())
            .required(Some(Required::True));
        self.operation.request_body = Some(RefOr::T(body.build()));
        self.name(described.named);
    }

    fn name(&mut self, schemas: Map<String, Value>) {
        let schemas = schemas.into_iter().map(|(name, schema)| (name, schema::verbatim(schema)));
        self.named.extend(schemas);
    }

    fn parameter(
        &mut self,
        place: ParameterIn,
        name: &str,
        required: bool,
        description: Option<&str>,
        mut schema: Value,
    ) {
        // What a parameter is for stands above it rather than within its schema.
        let own = schema.as_object_mut().and_then(|members| members.remove("description"));
        let mut parameter = Parameter::new(name);
        parameter.parameter_in = place;
        parameter.required = if required { Required::True } else { Required::False };
        parameter.description =
            description.map(str::to_owned).or_else(|| Some(own?.as_str()?.to_owned()));
        parameter.schema = Some(schema::verbatim(schema));
        self.operation.parameters.get_or_insert_default().push(RefOr::T(parameter));
    }
}

/// A parameter that is not given is absent; it is never null.
fn without_null(mut schema: Value) -> Value {
    let Some(members) = schema.as_object_mut() else { return schema };
    if let Some(Value::Array(kinds)) = members.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = &kinds[..] {
            let kind = kind.clone();
            members.insert("type".into(), kind);
        }
    }
    if members.get("default").is_some_and(Value::is_null) {
        members.remove("default");
    }
    if let Some(Value::Array(names)) = members.get_mut("enum") {
        names.retain(|name| !name.is_null());
    }
    if let Some(Value::Array(mut alternatives)) = members.remove("anyOf") {
        alternatives.retain(|one| one["type"] != "null");
        match &mut alternatives[..] {
            // What the member says of itself wins over what its type says.
            [Value::Object(only)] => {
                let only = std::mem::take(only);
                only.into_iter().for_each(|(name, value)| {
                    members.entry(name).or_insert(value);
                });
            }
            _ => {
                members.insert("anyOf".into(), Value::Array(alternatives));
            }
        }
    }
    schema
}

/// A handler by the types of its arguments.
pub(crate) trait Signature<Arguments> {
    /// Adds what all of them take.
    fn describe(&self, sketch: &mut Sketch<'_>);
}

macro_rules! signatures {
    ($([$($argument:ident),*])*) => {$(
        impl<Handler, Answer, $($argument: Takes),*> Signature<($($argument,)*)> for Handler
        where
            Handler: Fn($($argument),*) -> Answer,
        {
            fn describe(&self, sketch: &mut Sketch<'_>) {
                $($argument::describe(sketch);)*
                let _ = sketch;
            }
        }
    )*};
}
signatures! { [] [A] [A, B] [A, B, C] [A, B, C, D] [A, B, C, D, E] [A, B, C, D, E, F] [A, B, C, D, E, F, G] }

/// One handler's route, with what its arguments say.
pub(crate) fn described<S, Arguments>(
    (mut named, mut paths, router): UtoipaMethodRouter<S>,
    handler: &impl Signature<Arguments>,
) -> UtoipaMethodRouter<S> {
    for (path, item) in &mut paths.paths {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            #[cfg(test)]
            tests::assert_says_nothing_twice(path, operation, handler);
            handler.describe(&mut Sketch { path, operation, named: &mut named });
        }
    }
    (named, paths, router)
}

/// The routes of these handlers: `routes![list, show]`.
macro_rules! routes {
    ($($handler:path),+ $(,)?) => {
        utoipa_axum::router::OpenApiRouter::new()$(.routes($crate::openapi::takes::described(
            utoipa_axum::routes!($handler),
            &$handler,
        )))+
    };
}
pub(crate) use routes;

impl<S> Takes for axum::extract::State<S> {}
impl<T: Takes, E> Takes for Result<T, E> {
    fn describe(sketch: &mut Sketch<'_>) {
        T::describe(sketch);
    }
}
impl<T> Takes for axum::Extension<T> {}
impl Takes for axum::http::HeaderMap {}
impl Takes for axum::extract::Request {}

#[cfg(test)]
#[path = "takes_tests.rs"]
mod tests;
