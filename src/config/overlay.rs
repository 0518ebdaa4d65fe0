//! Values from the environment and from flags, laid over the file's tree.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::source::Source;

/// A value that beats the file's: from the environment or a flag.
pub(crate) struct Overlay {
    pub(crate) section: &'static str,
    pub(crate) key: String,
    pub(crate) text: String,
    pub(crate) form: Form,
    pub(crate) source: Source,
}

/// How an overlay's text is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// As it stands.
    Text,
    /// As a TOML value, and as it stands where it is none.
    Toml,
}

impl Overlay {
    /// Puts the value into the tree under the span `at`, in place of what it beats.
    pub(crate) fn lay_over<'a>(
        &'a self,
        root: &mut DeTable<'a>,
        at: &Range<usize>,
        source: impl Fn(&Range<usize>) -> Source,
    ) {
        let spanned = |text: &'a str| Spanned::new(at.clone(), text.into());
        let section = root
            .entry(spanned(self.section))
            .or_insert_with(|| Spanned::new(at.clone(), DeValue::Table(DeTable::new())));
        let DeValue::Table(table) = section.get_mut() else {
            return;
        };
        let rival = self.rival();
        let beaten = table
            .get_key_value(rival.as_str())
            .is_some_and(|(key, _)| !source(&key.span()).same_layer(&self.source));
        if beaten {
            table.remove(rival.as_str());
        }
        // Inserting alone would keep the beaten key's span.
        table.remove(self.key.as_str());
        table.insert(spanned(&self.key), Spanned::new(at.clone(), self.value(at)));
    }

    /// Returns the key that says the same in the other form: a value or the file that holds it.
    fn rival(&self) -> String {
        match self.key.strip_suffix("_file") {
            Some(value) => value.to_owned(),
            None => format!("{}_file", self.key),
        }
    }

    fn value<'a>(&'a self, at: &Range<usize>) -> DeValue<'a> {
        let parsed = match self.form {
            Form::Text => None,
            Form::Toml => DeValue::parse(&self.text).ok(),
        };
        match parsed {
            Some(value) => moved(value.into_inner(), at),
            None => DeValue::String(self.text.as_str().into()),
        }
    }
}

/// Gives a value's parts the overlay's span in place of the one in its own text.
fn moved<'a>(value: DeValue<'a>, at: &Range<usize>) -> DeValue<'a> {
    let part =
        |value: Spanned<DeValue<'a>>| Spanned::new(at.clone(), moved(value.into_inner(), at));
    match value {
        DeValue::Array(items) => DeValue::Array(items.into_iter().map(part).collect()),
        DeValue::Table(table) => {
            let entry = |(key, value): (Spanned<_>, _)| {
                (Spanned::new(at.clone(), key.into_inner()), part(value))
            };
            DeValue::Table(table.into_iter().map(entry).collect())
        }
        scalar => scalar,
    }
}
