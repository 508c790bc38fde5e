//! Reads the Markdown documents as far as the tests look at them.

use std::fs;
use std::path::{Path, PathBuf};

/// A document, and where it lies.
pub(crate) struct Document {
    /// Below the root.
    pub(crate) path: String,
    text: String,
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the crate lies in the repository")
}

/// Every document that people write or that tests write for them.
pub(crate) fn all() -> Vec<Document> {
    let mut paths = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("the documents can be read") {
            let entry = entry.expect("the documents can be read");
            let name = entry.file_name().into_string().expect("documents have plain names");
            let path = format!("{folder}/{name}");
            if entry.file_type().expect("it is still there").is_dir() {
                folders.push(path);
            } else if name.ends_with(".md") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.iter().map(|path| Document::read(path)).collect()
}

impl Document {
    pub(crate) fn read(path: &str) -> Self {
        let text = fs::read_to_string(root().join(path));
        let text = text.unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text }
    }

    /// The lines within fenced code blocks.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = &str> {
        self.marked_lines().filter(|(in_code, _)| *in_code).map(|(_, line)| line)
    }

    /// The rows of all tables, without their heads.
    pub(crate) fn table_rows(&self) -> impl Iterator<Item = &str> {
        let lines = self.text.lines();
        let with_next = lines.clone().zip(lines.skip(1).chain([""]));
        let rows =
            with_next.filter(|(line, next)| line.starts_with("| ") && !next.starts_with("|---"));
        rows.map(|(line, _)| line)
    }

    /// Every `path/file.rs::name`, as file and name.
    pub(crate) fn items(&self) -> impl Iterator<Item = (String, String)> {
        self.code_spans().filter_map(|span| {
            let (file, name) = span.split_once(".rs::")?;
            Some((format!("{file}.rs"), name.to_owned()))
        })
    }

    /// The line of a table that names a constant.
    pub(crate) fn row_of(&self, file: &str, name: &str) -> Option<&str> {
        let item = format!("`{file}::{name}`");
        self.text.lines().find(|line| line.starts_with('|') && line.contains(&item))
    }

    /// The files that links lead to.
    pub(crate) fn links(&self) -> Vec<PathBuf> {
        let file = root().join(&self.path);
        let folder = file.parent().expect("a file lies in a folder");
        let prose = self.prose();
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let own = targets.filter(|target| !target.contains("://"));
        let files = own.filter_map(|target| target.split('#').next());
        files.filter(|file| !file.is_empty()).map(|file| folder.join(file)).collect()
    }

    /// The files and folders that are named in full, from the root.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let tops = super::FOLDERS;
        let is_path = |span: &&str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
            span.split_once('/').is_some_and(|(top, _)| tops.contains(&top))
                && span.chars().all(plain)
        };
        self.code_spans().filter(is_path).map(|path| root().join(path)).collect()
    }

    fn code_spans(&self) -> impl Iterator<Item = &str> {
        let prose = self.marked_lines().filter(|(in_code, _)| !in_code);
        prose.flat_map(|(_, line)| line.split('`').skip(1).step_by(2))
    }

    fn prose(&self) -> String {
        let prose = self.marked_lines().filter(|(in_code, _)| !in_code);
        prose.map(|(_, line)| line).collect::<Vec<_>>().join("\n")
    }

    /// Every line, with whether it lies within a fenced code block.
    fn marked_lines(&self) -> impl Iterator<Item = (bool, &str)> {
        let mut in_code = false;
        self.text.lines().filter_map(move |line| {
            if line.trim_start().starts_with("```") {
                in_code = !in_code;
                return None;
            }
            Some((in_code, line))
        })
    }
}

/// Whether a name is a constant's; the others are tests'.
pub(crate) fn is_constant(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Whether there is a test of this name: a function with an attribute that says so above it.
pub(crate) fn has_test(source: &str, name: &str) -> bool {
    let is_it = |line: &str| {
        let text = line.trim_start().trim_start_matches("async ");
        text.strip_prefix("fn ")
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with('('))
    };
    let lines: Vec<&str> = source.lines().collect();
    let found = lines.iter().position(|line| is_it(line));
    found.is_some_and(|at| {
        let above = lines[..at].iter().rev().map(|line| line.trim());
        let mut attributes =
            above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

/// The expression of a constant.
pub(crate) fn constant<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let declared = format!("const {name}: ");
    let (_, rest) = source.split_once(&declared)?;
    let (_, value) = rest.split_once(" = ")?;
    value.split(';').next()
}
