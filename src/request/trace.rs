//! W3C trace context on its way through.

use http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Drops a trace context that is malformed, so that the upstream begins one of its own (Trace Context §3.2, §4.3).
pub(crate) fn retain_trace(headers: &mut HeaderMap) {
    // Most requests have none, which is seen sooner than looked up.
    if !headers
        .keys()
        .any(|name| name.as_str().starts_with("trace"))
    {
        return;
    }
    if headers.contains_key(&TRACEPARENT) {
        if trace_id(headers).is_some() {
            return;
        }
        headers.remove(&TRACEPARENT);
    }
    headers.remove(&TRACESTATE);
}

/// Returns the trace's ID, where there is exactly one and it is well-formed.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(&TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    parse(value.to_str().ok()?)
}

/// Reads `version-trace-parent-flags`; a version that is not known may have more behind it.
fn parse(text: &str) -> Option<&str> {
    let mut fields = text.split('-');
    let version = hex(fields.next()?, 2)?;
    let trace = hex(fields.next()?, 32)?;
    let parent = hex(fields.next()?, 16)?;
    hex(fields.next()?, 2)?;
    let is_zero = |digits: &str| digits.bytes().all(|digit| digit == b'0');
    let is_good = version != "ff" && !is_zero(trace) && !is_zero(parent);
    let has_end = version != "00" || fields.next().is_none();
    (is_good && has_end).then_some(trace)
}

fn hex(field: &str, length: usize) -> Option<&str> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (field.len() == length && field.bytes().all(is_hex)).then_some(field)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn kept(values: &[&str]) -> usize {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
        retain_trace(&mut headers);
        headers.len()
    }

    #[test]
    fn a_well_formed_context_passes_and_any_other_is_dropped_whole() {
        assert_eq!(kept(&[GOOD]), 2);
        assert_eq!(kept(&[&GOOD.replacen("00", "cc", 1)]), 2);
        assert_eq!(kept(&[&format!("cc{}-more", &GOOD[2..])]), 2);
        for bad in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &format!("{GOOD}-more"),
            &GOOD.replacen("00", "ff", 1),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(kept(&[bad]), 0, "{bad}");
        }
        assert_eq!(kept(&[GOOD, GOOD]), 0);
        assert_eq!(kept(&[]), 0);
    }
}
