//! A request's head as it was, for another attempt.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, uri::PathAndQuery};

use super::Head;

/// A copy of a head: its fields as bytes in a row. A map is dearer to copy, and seldom needed again.
pub(super) struct KeptHead {
    method: Method,
    target: PathAndQuery,
    bytes: Vec<u8>,
    fields: Vec<Field>,
}

/// Where a field's name and value end; they begin where the one before ends.
struct Field {
    name: usize,
    value: usize,
    is_sensitive: bool,
}

impl KeptHead {
    pub(super) fn of(head: &Head) -> Self {
        let lengths = head.headers.iter();
        let length = lengths.map(|(name, value)| name.as_str().len() + value.len());
        let mut bytes = Vec::with_capacity(length.sum());
        let mut fields = Vec::with_capacity(head.headers.len());
        for (name, value) in &head.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            let name = bytes.len();
            bytes.extend_from_slice(value.as_bytes());
            fields.push(Field {
                name,
                value: bytes.len(),
                is_sensitive: value.is_sensitive(),
            });
        }
        Self {
            method: head.method.clone(),
            target: head.target.clone(),
            bytes,
            fields,
        }
    }

    /// Returns the head; `None` only where it held what no head can.
    pub(super) fn again(self) -> Option<Head> {
        let bytes = Bytes::from(self.bytes);
        let mut headers = HeaderMap::with_capacity(self.fields.len());
        let mut start = 0;
        for field in self.fields {
            let name = HeaderName::from_bytes(bytes.get(start..field.name)?).ok()?;
            let value = bytes.slice(field.name..field.value);
            let mut value = HeaderValue::from_maybe_shared(value).ok()?;
            value.set_sensitive(field.is_sensitive);
            headers.append(name, value);
            start = field.value;
        }
        Some(Head {
            method: self.method,
            target: self.target,
            headers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_again_what_it_was() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("accept", "*/*"),
            ("x-own", "caf\u{e9}"),
            ("accept", "text/html"),
            ("x-empty", ""),
            ("cookie", "a=b; c=d"),
        ] {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        headers.get_mut("cookie").unwrap().set_sensitive(true);
        let head = Head {
            method: Method::from_bytes(b"QUERY").unwrap(),
            target: PathAndQuery::from_static("/a%20b?x=1"),
            headers: headers.clone(),
        };
        let again = KeptHead::of(&head).again().unwrap();
        assert_eq!(
            (again.method, again.target, &again.headers),
            (head.method, head.target, &headers)
        );
        assert!(again.headers["cookie"].is_sensitive());
        assert!(!again.headers["x-own"].is_sensitive());
    }
}
