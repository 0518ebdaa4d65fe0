//! What several targets share: requests from text, and readers as lenient as any upstream.

use http::{HeaderName, HeaderValue, Method, Request, Uri, request::Parts};

/// Reads `METHOD target` and header lines, as far as they can be those of a request; nothing of it is checked further.
pub fn parts(text: &[u8]) -> Option<Parts> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let line = lines.next()?;
    let gap = line.iter().position(|byte| *byte == b' ')?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(&line[..gap]).ok()?;
    parts.uri = Uri::try_from(&line[gap + 1..]).ok()?;
    for line in lines {
        let (name, value) = header(line)?;
        parts.headers.append(name, value);
    }
    Some(parts)
}

/// Reads `Name: value`.
pub fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name, value))
}

/// Panics where a path could be read in two ways.
pub fn assert_canonical_path(path: &str) {
    assert!(path.starts_with('/'), "{path:?}");
    let segments: Vec<_> = path[1..].split('/').collect();
    for (at, segment) in segments.iter().enumerate() {
        assert!(!segment.is_empty() || at + 1 == segments.len(), "{path:?}");
        assert!(*segment != "." && !segment.ends_with(".."), "{path:?}");
    }
    assert!(!path.contains(['\\', '#', ';', '?']), "{path:?}");
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?}");
    for escape in path.split('%').skip(1) {
        let code = u8::from_str_radix(&escape[..2], 16).expect("an escape");
        assert_eq!(escape[..2].to_ascii_uppercase(), escape[..2], "{path:?}");
        let harmless = !code.is_ascii_control()
            && !code.is_ascii_alphanumeric()
            && !b"/\\%#?;-._~".contains(&code);
        assert!(harmless, "{path:?}");
    }
}

/// Every way in which an upstream may read a path that it takes further than it should.
pub fn readings(path: &str) -> Vec<String> {
    let mut all = Vec::new();
    for decodings in 0..3 {
        for choice in 0..16_u8 {
            let mut text = path.as_bytes().to_vec();
            for _ in 0..decodings {
                text = decoded(&text);
            }
            let chosen = |bit: u8| choice & (1 << bit) != 0;
            all.push(reading(&text, chosen(0), chosen(1), chosen(2), chosen(3)));
        }
    }
    all
}

fn reading(path: &[u8], backslash: bool, parameters: bool, fold: bool, nul: bool) -> String {
    let mut text = String::from_utf8_lossy(path).into_owned();
    if nul {
        text.truncate(text.find('\0').unwrap_or(text.len()));
    }
    if backslash {
        text = text.replace('\\', "/");
    }
    let mut kept: Vec<String> = Vec::new();
    for segment in text.split('/') {
        let mut segment = segment;
        if parameters {
            segment = segment.split(';').next().unwrap_or_default();
        }
        if segment == ".." {
            kept.pop();
            continue;
        }
        if fold {
            segment = segment.trim_end_matches(['.', ' ']);
        }
        if !segment.is_empty() && segment != "." {
            kept.push(match fold {
                true => segment.to_ascii_lowercase(),
                false => segment.to_owned(),
            });
        }
    }
    kept.join("/")
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).filter(|_| text[at] == b'%');
        let code = digits.and_then(|digits| str::from_utf8(digits).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

/// Tells whether an upstream may take a name for one that begins with `prefix`.
pub fn folds_to(name: &str, prefix: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['_', '.'], "-");
    name.starts_with(prefix)
}

/// Cuts bytes into pieces, by the bytes' own lengths.
pub fn pieces<'a>(bytes: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, after) = rest.split_at(usize::from(*cut).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// Parts an input into where to cut and what: the first byte says how many cuts follow.
pub fn cuts(input: &[u8]) -> (&[u8], &[u8]) {
    let Some((count, rest)) = input.split_first() else {
        return (&[], &[]);
    };
    rest.split_at(usize::from(count % 16).min(rest.len()))
}
