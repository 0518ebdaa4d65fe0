//! Header names as an upstream may read them: CGI, WSGI and PHP fold `_` and `.` to `-`.

/// Tells whether an upstream may take `name` for `canonical` (lower-case, with `-`).
pub(crate) fn same_name(name: &str, canonical: &str) -> bool {
    name.len() == canonical.len() && same_prefix(name, canonical)
}

/// Tells whether an upstream may take `name` for one that begins with `prefix` (lower-case, with `-`).
pub(crate) fn same_prefix(name: &str, prefix: &str) -> bool {
    name.len() >= prefix.len()
        && name
            .bytes()
            .zip(prefix.bytes())
            .all(|(byte, wanted)| folded(byte) == wanted)
}

fn folded(byte: u8) -> u8 {
    match byte {
        b'_' | b'.' => b'-',
        _ => byte.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_and_case_are_folded() {
        for name in ["x-real-ip", "X-Real-IP", "x_real_ip", "x.real_ip"] {
            assert!(same_name(name, "x-real-ip"), "{name}");
        }
        assert!(!same_name("x-real-ip2", "x-real-ip"));
        assert!(same_prefix("X_Forwarded.For", "x-forwarded-"));
        assert!(!same_prefix("x-forward", "x-forwarded-"));
    }
}
