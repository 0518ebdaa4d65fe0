//! The form of a route's path, host and methods; the matcher itself is elsewhere.

use http::Method;

use super::error::Findings;

/// Checks a path pattern: canonical, whole segments, `/*` only at the end.
pub(crate) fn check_path(key: &str, path: &str, findings: &mut Findings) {
    let Some(inner) = path.strip_prefix('/') else {
        let what = format!("{path:?} does not begin with /");
        findings.problem(key, what, "write an absolute path, as in /api/*");
        return;
    };
    let inner = match inner.strip_suffix('*') {
        Some("") => return,
        Some(rest) => match rest.strip_suffix('/') {
            Some(rest) => rest,
            None => inner,
        },
        None => inner.strip_suffix('/').unwrap_or(inner),
    };
    if inner.is_empty() && path == "/" {
        return;
    }
    let mut names = Vec::new();
    for segment in inner.split('/') {
        if let Err((what, fix)) = check_segment(segment, &mut names) {
            findings.problem(key, format!("{path:?} {what}"), fix);
            return;
        }
    }
}

type Complaint = (&'static str, &'static str);

fn check_segment<'a>(segment: &'a str, names: &mut Vec<&'a str>) -> Result<(), Complaint> {
    const CANONICAL: Complaint = (
        "is not in canonical form, so no request could meet it",
        "write no empty, . or .. segments, and only what a URL's path may hold",
    );
    if let Some(rest) = segment.strip_prefix('{') {
        let name = rest.strip_suffix('}').unwrap_or_default();
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(word) {
            return Err((
                "has braces that are not a whole segment",
                "write {name} between slashes, as in /users/{id}",
            ));
        }
        if names.contains(&name) {
            return Err((
                "names a segment twice",
                "give each {name} a name of its own",
            ));
        }
        names.push(name);
        return Ok(());
    }
    if segment.contains('*') {
        return Err((
            "has a * that is not a whole last segment",
            "end the path with /* for all below it, or use {name} for one segment",
        ));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()+,=:@%;".contains(c);
    if matches!(segment, "" | "." | "..") || !segment.chars().all(allowed) {
        return Err(CANONICAL);
    }
    Ok(())
}

/// Reads a host name, in lower case and without a port.
pub(crate) fn check_host(key: &str, host: &str, findings: &mut Findings) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let good = match bare {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.starts_with('.') && host.chars().all(plain),
    };
    if !good {
        let what = format!("{host:?} is not a host name");
        let fix = "write it without scheme, port or path, as in app.example.com";
        findings.problem(key, what, fix);
        return None;
    }
    Some(host.trim_end_matches('.').to_ascii_lowercase())
}

/// Reads a list of methods; `None` stands for any.
pub(crate) fn check_methods(
    key: &str,
    methods: Option<&[String]>,
    findings: &mut Findings,
) -> Option<Vec<Method>> {
    let methods = methods?;
    if methods.is_empty() {
        let fix = "name methods, as in [\"GET\"], or remove the key for any";
        findings.problem(key, "is empty, so no request could meet it", fix);
    }
    let mut checked = Vec::new();
    for (index, text) in methods.iter().enumerate() {
        let key = format!("{key}[{index}]");
        match Method::from_bytes(text.as_bytes()) {
            Ok(Method::CONNECT) => {
                findings.problem(&key, "CONNECT is always refused", "remove it");
            }
            Ok(method) if text.chars().any(|c| c.is_ascii_lowercase()) => {
                let what = format!("{method} is not a method: methods are case-sensitive");
                findings.problem(&key, what, format!("write {}", text.to_ascii_uppercase()));
            }
            Ok(method) if checked.contains(&method) => {
                findings.problem(&key, format!("{method} stands twice"), "remove one of them");
            }
            Ok(method) => checked.push(method),
            Err(_) => {
                findings.problem(
                    &key,
                    format!("{text:?} is not a method"),
                    "use GET, POST, …",
                );
            }
        }
    }
    Some(checked)
}

/// Returns a path with its segments' names blanked: what decides whether two paths are the same.
pub(crate) fn shape(path: &str) -> String {
    let blank = |segment: &str| match segment.starts_with('{') {
        true => "{}".to_owned(),
        false => segment.to_owned(),
    };
    path.split('/').map(blank).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Origins;

    #[test]
    fn path_patterns_are_whole_canonical_segments() {
        for (path, good) in [
            ("/", true),
            ("/*", true),
            ("/public/*", true),
            ("/users/{id}/posts", true),
            ("/users/{id}/*", true),
            ("/exact/", true),
            ("", false),
            ("api/*", false),
            ("/a*", false),
            ("/a/*/b", false),
            ("/a//b", false),
            ("/a/../b", false),
            ("/x{id}", false),
            ("/{}", false),
            ("/{id}/{id}", false),
            ("/{id}x", false),
            ("/a?b", false),
            ("/a b", false),
            ("/a\\b", false),
            ("//*", false),
        ] {
            let mut findings = Findings::new(Origins::default());
            check_path("key", path, &mut findings);
            assert_eq!(findings.problems.is_empty(), good, "{path:?}");
        }
    }

    #[test]
    fn hosts_are_names_without_port() {
        for (host, read) in [
            ("App.Example.com", Some("app.example.com")),
            ("[::1]", Some("[::1]")),
            ("app.example.com:443", None),
            ("https://app.example.com", None),
            ("*.example.com", None),
            ("", None),
        ] {
            let mut findings = Findings::new(Origins::default());
            assert_eq!(
                check_host("key", host, &mut findings).as_deref(),
                read,
                "{host}"
            );
        }
    }

    #[test]
    fn names_of_segments_do_not_tell_paths_apart() {
        assert_eq!(shape("/users/{id}/*"), shape("/users/{name}/*"));
        assert_ne!(shape("/users/{id}"), shape("/users/id"));
    }
}
