//! Every SQL statement of the binary that is written down whole is prepared on a migrated database, so
//! that a column that is misspelt, or dropped, fails here and not at whoever asks first. Why not sqlx's
//! checked macros: docs/decisions/0026-statements-are-prepared-in-a-test.md.
//!
//! A statement is the first argument of `sqlx::query`, `query_as` or `query_scalar`: a literal, a
//! constant of the same file, or a `format!` of nothing but such constants. The others are put together
//! while the process runs; their number stands below.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use sqlx::{Connection, Executor, PgConnection};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The sources of what is needed to serve.
const SOURCES: [&str; 7] = [
    "commands/src",
    "projections/src",
    "projections/follow/src",
    "nats/src",
    "api/src",
    "api/provider/src",
    "api/gomall/src",
];

/// Where statements are put together while the process runs, how many, and of what. The tests that run
/// them check them. Whoever adds one counts it here, or writes it down whole.
const PUT_TOGETHER: [(&str, usize, &str); 13] = [
    ("commands/src/journal/read.rs", 1, "the columns of an event, with what is asked of them"),
    ("commands/src/journal/report.rs", 5, "the parts of a filter, and how it is carried out"),
    ("commands/src/journal/session.rs", 1, "commit or rollback"),
    ("projections/follow/src/elections.rs", 1, "a setting, which takes no parameter"),
    ("projections/src/carts/query.rs", 1, "the members of a view as columns"),
    ("projections/src/dead_letters.rs", 1, "the columns of a dead letter"),
    ("projections/src/orders/query.rs", 1, "the members of a view as columns"),
    ("projections/src/permissions/query.rs", 3, "the members of a view as columns"),
    ("projections/src/rebuild/tables.rs", 2, "names of the schema that is being built"),
    ("projections/src/rows.rs", 3, "names and columns of a projection's tables"),
    ("projections/src/runner/checkpoint.rs", 1, "a hint that is the address of a row"),
    ("projections/src/sessions/query.rs", 1, "the members of a view as columns"),
    ("projections/src/stock/query.rs", 2, "the members of a view as columns"),
];

#[tokio::test]
async fn every_statement_that_is_written_down_can_be_prepared() {
    let database = testkit::database().await;
    let mut session = PgConnection::connect(database.url()).await.expect("it is up");
    let (mut statements, mut put_together) = (vec![], vec![]);
    for source in SOURCES {
        for file in files(&root().join(source)) {
            let text = fs::read_to_string(&file).expect("sources are text");
            let tokens: TokenStream = text.parse().expect("what compiles has tokens");
            let mut found = Found {
                file: &file,
                constants: BTreeMap::new(),
                statements: &mut statements,
                put_together: &mut put_together,
            };
            found.constants(tokens.clone());
            found.calls(tokens);
        }
    }
    assert!(statements.len() > 80, "only {} are found", statements.len());
    let mut wrong = vec![];
    for (file, sql) in &statements {
        if let Err(error) = session.prepare(sql).await {
            wrong.push(format!("{file}: {error}: {sql}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), statements.len());
    let mut by_file = BTreeMap::<_, usize>::new();
    for file in put_together {
        *by_file.entry(file).or_default() += 1;
    }
    let listed = PUT_TOGETHER.map(|(file, statements, _)| (file.to_owned(), statements));
    assert_eq!(by_file, listed.into());
}

fn root() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the crate lies in the repository")
}

/// All sources below a folder, but those of tests.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        let name = entry.file_name().into_string().expect("sources have plain names");
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

struct Found<'a> {
    file: &'a Path,
    constants: BTreeMap<String, String>,
    /// The file, and what.
    statements: &'a mut Vec<(String, String)>,
    /// The file.
    put_together: &'a mut Vec<String>,
}

impl Found<'_> {
    /// Every `const NAME: … = "…";`, wherever it stands. One that is made of others comes after them.
    fn constants(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        for (index, token) in tokens.iter().enumerate() {
            if let TokenTree::Group(group) = token {
                self.constants(group.stream());
            }
            let Some([name, rest @ ..]) = tokens.get(index + 1..) else { continue };
            if !is_ident(token, &["const"]) {
                continue;
            }
            let value = rest.iter().skip_while(|token| !is_sign(token, '=')).nth(1);
            let value = value.and_then(text).map(|value| (name.to_string(), value));
            self.constants.extend(value);
        }
    }

    fn calls(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        for (index, token) in tokens.iter().enumerate() {
            let of_tests = index >= 1 && is_ident(&tokens[index - 1], &["tests"]);
            if let TokenTree::Group(group) = token
                && !of_tests
            {
                self.calls(group.stream());
            }
            let of_sqlx = index >= 3 && is_ident(&tokens[index - 3], &["sqlx"]);
            if of_sqlx && is_ident(token, &["query", "query_as", "query_scalar"]) {
                arguments(&tokens[index + 1..]).into_iter().for_each(|with| self.call(with));
            }
        }
    }

    fn call(&mut self, arguments: TokenStream) {
        let arguments: Vec<_> = arguments.into_iter().collect();
        let first = arguments.split(|token| is_sign(token, ',')).next().unwrap_or_default();
        let first = match first {
            [reference, first @ ..] if is_sign(reference, '&') => first,
            first => first,
        };
        let statement = match first {
            [literal @ TokenTree::Literal(_)] => text(literal),
            [constant @ TokenTree::Ident(_)] => self.constants.get(&constant.to_string()).cloned(),
            [format, _, TokenTree::Group(group)] if is_ident(format, &["format"]) => {
                self.formatted(group.stream())
            }
            _ => None,
        };
        let file = self.file.strip_prefix(root()).expect("it lies in the repository").display();
        match statement {
            Some(statement) => self.statements.push((file.to_string(), statement)),
            None => self.put_together.push(file.to_string()),
        }
    }

    /// What `format!` makes of a text whose parts are all constants.
    fn formatted(&self, arguments: TokenStream) -> Option<String> {
        let mut arguments = arguments.into_iter();
        let mut formatted = text(&arguments.next()?)?;
        for (name, value) in &self.constants {
            formatted = formatted.replace(&format!("{{{name}}}"), value);
        }
        let is_whole = arguments.all(|token| is_sign(&token, ',')) && !formatted.contains('{');
        is_whole.then_some(formatted)
    }
}

/// What a function is called with, if it is called: behind its type arguments, where there are any.
fn arguments(after_name: &[TokenTree]) -> Option<TokenStream> {
    let is_path = after_name.first().is_some_and(|token| is_sign(token, ':'));
    let mut depth = 0;
    let mut behind = after_name.iter().skip_while(|token| {
        depth += i32::from(is_sign(token, '<')) - i32::from(is_sign(token, '>'));
        is_path && (depth > 0 || is_sign(token, ':') || is_sign(token, '>'))
    });
    match behind.next()? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
            Some(group.stream())
        }
        _ => None,
    }
}

fn is_ident(token: &TokenTree, names: &[&str]) -> bool {
    matches!(token, TokenTree::Ident(name) if names.contains(&&*name.to_string()))
}

fn is_sign(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// The text of a literal, plain or raw.
fn text(token: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = token else { return None };
    let literal = literal.to_string();
    if let Some(raw) = literal.strip_prefix('r') {
        let raw = raw.trim_matches('#');
        return Some(raw.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    }
    let mut rest = literal.strip_prefix('"')?.strip_suffix('"')?.chars().peekable();
    let mut text = String::new();
    while let Some(sign) = rest.next() {
        match (sign, if sign == '\\' { rest.next() } else { None }) {
            (_, Some('\n')) => while rest.next_if(|sign| sign.is_whitespace()).is_some() {},
            (_, Some('n')) => text.push('\n'),
            (_, Some(sign)) => text.push(sign),
            (sign, None) => text.push(sign),
        }
    }
    Some(text)
}
