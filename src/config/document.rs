//! The file's tree with the environment's and the flags' values laid over it, each with its place.

use std::{ops::Range, path::Path, sync::Arc};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Error, ValueDeserializer},
};

use super::{
    error::{Findings, Problem},
    nearest,
    overlay::Overlay,
    source::{Origins, Source},
};

/// The tree from which sections are taken, and the findings about it so far.
pub(crate) struct Document<'a> {
    root: DeTable<'a>,
    spans: Spans<'a>,
    keys: Vec<Located>,
}

/// The file's text.
pub(crate) struct FileText {
    pub(crate) path: Arc<Path>,
    pub(crate) text: String,
}

/// What a span stands for: a place in the file, or past its end one of the overlays.
struct Spans<'a> {
    file: Option<&'a FileText>,
    overlays: &'a [Overlay],
}

struct Located {
    path: String,
    key: Range<usize>,
    value: Range<usize>,
}

impl<'a> Document<'a> {
    /// Reads the file and lays the overlays over it, in order.
    ///
    /// # Errors
    ///
    /// Every syntax error of the file; then nothing more can be said about it.
    pub(crate) fn read(
        file: Option<&'a FileText>,
        overlays: &'a [Overlay],
    ) -> Result<(Self, Findings), Vec<Problem>> {
        let spans = Spans { file, overlays };
        let mut root = spans.parse_file()?;
        for (index, overlay) in overlays.iter().enumerate() {
            let at = spans.overlay(index);
            overlay.lay_over(&mut root, &at, |span| spans.source(span));
        }
        let mut keys = Vec::new();
        walk_table("", &root, &mut keys);
        let mut origins = Origins::new(file.map(|file| file.path.clone()));
        for located in &keys {
            origins.insert(located.path.clone(), spans.source(&located.key));
        }
        let document = Self { root, spans, keys };
        Ok((document, Findings::new(origins)))
    }

    /// Takes a section out of the tree; its default where it is absent.
    pub(crate) fn section<T: Default + DeserializeOwned>(
        &mut self,
        name: &str,
        findings: &mut Findings,
    ) -> T {
        match self.root.remove(name) {
            None => T::default(),
            Some(value) => self.read_table(name, value, findings).unwrap_or_default(),
        }
    }

    /// Takes an array of tables out of the tree; a placeholder stands where an entry cannot be read.
    pub(crate) fn entries<T: DeserializeOwned>(
        &mut self,
        name: &str,
        placeholder: impl Fn() -> T,
        findings: &mut Findings,
    ) -> Vec<T> {
        let Some(value) = self.root.remove(name) else {
            return Vec::new();
        };
        let DeValue::Array(entries) = value.into_inner() else {
            let what = format!("[{name}] is a list: there may be several");
            findings.problem(name, what, format!("write [[{name}]]"));
            findings.mark_broken(name);
            return Vec::new();
        };
        let mut read = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let place = format!("{name}[{index}]");
            let entry = self.read_table(&place, entry, findings);
            if entry.is_none() {
                findings.mark_broken(place);
            }
            read.push(entry.unwrap_or_else(&placeholder));
        }
        read
    }

    /// Notes sections that nobody took.
    pub(crate) fn finish(self, known: &[&str], findings: &mut Findings) {
        for name in self.root.keys() {
            let name: &str = name.get_ref();
            let fix = match nearest::nearest(name, known.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("the sections are: {}", known.join(", ")),
            };
            findings.problem(name, "unknown section", fix);
        }
    }

    /// Reads a table, leaving out one bad key after another, so that each is complained about.
    fn read_table<T: DeserializeOwned>(
        &self,
        place: &str,
        mut value: Spanned<DeValue<'a>>,
        findings: &mut Findings,
    ) -> Option<T> {
        if !value.get_ref().is_table() {
            let what = format!("is a {}, not a table", value.get_ref().type_str());
            findings.problem(place, what, format!("write [{place}] and its keys below"));
            return None;
        }
        loop {
            let error = match T::deserialize(ValueDeserializer::from(value.clone())) {
                Ok(read) => return Some(read),
                Err(error) => error,
            };
            let path = self.path_of(place, &error);
            let (what, fix) = nearest::explain(error.message());
            let source = error.span().map(|span| self.spans.source(&span));
            findings.problems.push(Problem {
                source: source.unwrap_or_else(|| findings.origins.nearest(&path)),
                key: path.clone(),
                what,
                fix,
            });
            let bad = path.strip_prefix(place)?.strip_prefix('.')?;
            let bad = bad.split(['.', '[']).next()?.to_owned();
            let DeValue::Table(table) = value.get_mut() else {
                return None;
            };
            table.remove(bad.as_str())?;
            findings.mark_broken(format!("{place}.{bad}"));
        }
    }

    /// Returns the innermost key within `place` that an error is about.
    fn path_of(&self, place: &str, error: &Error) -> String {
        let Some(span) = error.span() else {
            return place.to_owned();
        };
        let covers = |outer: &Range<usize>| outer.start <= span.start && span.end <= outer.end;
        let within = |path: &str| {
            path.strip_prefix(place)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.keys
            .iter()
            .filter(|located| within(&located.path))
            .filter(|located| covers(&located.key) || covers(&located.value))
            .max_by_key(|located| located.path.len())
            .map_or_else(|| place.to_owned(), |located| located.path.clone())
    }
}

impl<'a> Spans<'a> {
    fn parse_file(&self) -> Result<DeTable<'a>, Vec<Problem>> {
        let Some(file) = self.file else {
            return Ok(DeTable::new());
        };
        let (root, errors) = DeTable::parse_recoverable(&file.text);
        if errors.is_empty() {
            return Ok(root.into_inner());
        }
        let problem = |error: &Error| Problem {
            source: self.source(&error.span().unwrap_or_default()),
            key: String::new(),
            // Only the message: the line itself may hold a secret.
            what: format!("is not TOML: {}", error.message().replace('\n', ", ")),
            fix: "mend the line's syntax".to_owned(),
        };
        Err(errors.iter().map(problem).collect())
    }

    fn file_len(&self) -> usize {
        self.file.map_or(0, |file| file.text.len())
    }

    fn overlay(&self, index: usize) -> Range<usize> {
        let at = self.file_len() + 1 + 2 * index;
        at..at + 1
    }

    fn source(&self, span: &Range<usize>) -> Source {
        let past_file = span.start.checked_sub(self.file_len() + 1);
        if let Some(overlay) = past_file.and_then(|past| self.overlays.get(past / 2)) {
            return overlay.source.clone();
        }
        let Some(file) = self.file else {
            return Source::Default;
        };
        let before = file.text.bytes().take(span.start);
        Source::File {
            path: file.path.clone(),
            line: Some(1 + before.filter(|byte| *byte == b'\n').count()),
        }
    }
}

fn walk_table(place: &str, table: &DeTable<'_>, keys: &mut Vec<Located>) {
    for (key, value) in table {
        let path = match place {
            "" => key.get_ref().to_string(),
            _ => format!("{place}.{}", key.get_ref()),
        };
        walk(path, key.span(), value, keys);
    }
}

fn walk(path: String, key: Range<usize>, value: &Spanned<DeValue<'_>>, keys: &mut Vec<Located>) {
    match value.get_ref() {
        DeValue::Table(table) => walk_table(&path, table, keys),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(format!("{path}[{index}]"), item.span(), item, keys);
            }
        }
        _ => {}
    }
    keys.push(Located {
        path,
        key,
        value: value.span(),
    });
}
