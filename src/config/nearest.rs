//! Puts a reader's message in words for people: what is unknown, and what was probably meant.

/// Turns serde's message into what is wrong and what to do about it.
pub(crate) fn explain(message: &str) -> (String, String) {
    let mut names = message.split('`').skip(1).step_by(2);
    let (Some(unknown), known) = (names.next(), names.collect::<Vec<_>>()) else {
        return (message.to_owned(), String::new());
    };
    let kind = match message {
        _ if message.starts_with("unknown field") => "key",
        _ if message.starts_with("unknown variant") => "value",
        _ if message.starts_with("missing field") => {
            return (format!("{unknown} is missing"), format!("set {unknown}"));
        }
        _ => return (message.to_owned(), String::new()),
    };
    let fix = match nearest(unknown, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("known are: {}", known.join(", ")),
    };
    (format!("unknown {kind} {unknown:?}"), fix)
}

/// Returns the name most like `word`, if any is like it.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (distance(word, name), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min()
        .map(|(_, name)| name)
}

/// Counts the letters to add, drop or change between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (to, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let changed = diagonal + usize::from(from != *to);
            diagonal = *above;
            left = changed.min(*above + 1).min(left + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("isuer", "issuer", 1),
            ("kitten", "sitting", 3),
            ("abc", "abc", 0),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn an_unknown_key_names_the_one_that_was_meant() {
        let (what, fix) = explain("unknown field `isuer`, expected one of `api_url`, `issuer`");
        assert_eq!(what, r#"unknown key "isuer""#);
        assert_eq!(fix, "did you mean issuer?");
        let (_, fix) = explain("unknown field `colour`, expected `a` or `b`");
        assert_eq!(fix, "known are: a, b");
    }

    #[test]
    fn other_messages_stay_as_they_are() {
        let (what, fix) = explain("invalid type: integer `5`, expected a string");
        assert_eq!(
            (what.as_str(), fix.as_str()),
            ("invalid type: integer `5`, expected a string", "")
        );
    }
}
