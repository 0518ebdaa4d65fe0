use super::*;
use crate::request::{PathError, canonical_path};

/// Reads `[METHOD,METHOD ][host]/path`.
fn pattern(text: &str) -> Pattern {
    let (methods, rest) = text
        .split_once(' ')
        .map_or((None, text), |(methods, rest)| (Some(methods), rest));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Pattern {
        host: (!host.is_empty()).then(|| host.to_owned()),
        path: path.to_owned(),
        methods: methods.map(|list| list.split(',').map(|name| name.parse().unwrap()).collect()),
    }
}

fn table(patterns: &[&'static str]) -> Result<Table<&'static str>, RouteError> {
    let builder = patterns.iter().fold(Table::builder(), |builder, text| {
        builder.insert(pattern(text), *text)
    });
    builder.build()
}

fn found(table: &Table<&'static str>, request: &str) -> &'static str {
    let request = pattern(request);
    let method = request
        .methods
        .map_or(Method::GET, |methods| methods[0].clone());
    table
        .find(request.host.as_deref(), &request.path, &method)
        .copied()
        .unwrap_or("-")
}

#[test]
fn a_path_that_folds_meets_the_routes_of_every_spelling() {
    let routes = [
        "/*",
        "/admin/*",
        "/admin/keys",
        "/Reports/*",
        "/reports/x",
        "POST /admin/*",
        "a.test/Own/*",
    ];
    let table = table(&routes).unwrap();
    for (request, expected) in [
        ("/ADMIN/x", &["/admin/*"][..]),
        ("/admin./x", &["/admin/*"]),
        ("/admin%20/x", &["/admin/*"]),
        ("/%20/admin/x", &["/admin/*"]),
        ("/admin/KEYS", &["/admin/keys"]),
        ("/admin/keys.", &["/admin/keys"]),
        ("POST /Admin/x", &["/admin/*", "POST /admin/*"]),
        ("/ADMINS/x", &["/*"]),
        ("/reports/y", &["/Reports/*"]),
        ("/REPORTS/x", &["/reports/x"]),
        ("a.test/own/x", &["a.test/Own/*"]),
        ("a.test/ADMIN/x", &["/admin/*"]),
    ] {
        let asked = pattern(request);
        let method = asked.methods.map_or(Method::GET, |list| list[0].clone());
        let found = table.find_folded(asked.host.as_deref(), &asked.path, &method);
        assert_eq!(found.copied().collect::<Vec<_>>(), expected, "{request}");
    }
}

#[test]
fn nothing_is_looked_for_where_nothing_folds() {
    let table = table(&["/*", "/admin/*"]).unwrap();
    for path in ["/admin/x", "/other", "/v1.2/x", "/"] {
        assert!(table.find_folded(None, path, &Method::GET).next().is_none());
    }
}

#[test]
fn a_pattern_takes_what_it_says_and_nothing_else() {
    for (pattern, request, taken) in [
        ("/a", "/a", true),
        ("/a", "/a/", false),
        ("/a/", "/a", false),
        ("/a/", "/a/", true),
        ("/", "/", true),
        ("/", "/a", false),
        ("/v/*", "/v", true),
        ("/v/*", "/v/", true),
        ("/v/*", "/v/1/2/3", true),
        ("/v/*", "/v1", false),
        ("/v/*", "/v1/x", false),
        ("/v/*", "/V/x", false),
        ("/*", "/", true),
        ("/*", "/a/b/", true),
        ("/{id}", "/x", true),
        ("/{id}", "/", false),
        ("/{id}", "/x/", false),
        ("/u/{id}/k", "/u/7/k", true),
        ("/u/{id}/k", "/u//k", false),
        ("/u/{id}/k", "/u/7/8/k", false),
        ("/u/{id}/*", "/u/7", true),
        ("/u/{id}/*", "/u", false),
        ("/u/{id}/*", "/u/", false),
        ("gw.test/a", "gw.test/a", true),
        ("GW.test./a", "gw.test/a", true),
        ("gw.test/a", "other.test/a", false),
        ("gw.test/a", "/a", false),
        ("GET /a", "HEAD /a", true),
        ("GET /a", "POST /a", false),
        ("POST /a", "HEAD /a", false),
    ] {
        let table = table(&[pattern]).unwrap();
        assert_eq!(
            found(&table, request) == pattern,
            taken,
            "{pattern} {request}"
        );
    }
}

#[test]
fn literals_are_compared_decoded() {
    let table = table(&[
        "/@me",
        "/caf%c3%a9/*",
        "/a b%7Cc".replace(' ', "%20").leak(),
        "/*",
    ])
    .unwrap();
    for (request, expected) in [
        ("/@me", "/@me"),
        ("/%40me", "/@me"),
        ("/caf%C3%A9/x", "/caf%c3%a9/*"),
        ("/a%20b|c", "/a%20b%7Cc"),
        ("/a%20b%7Cd", "/*"),
    ] {
        let path = canonical_path(request).unwrap();
        assert_eq!(found(&table, &path), expected, "{request}");
    }
}

#[test]
fn the_most_specific_route_wins_whatever_the_order() {
    let mut patterns = [
        "/*",
        "/a",
        "/a/*",
        "/a/{x}",
        "/a/b",
        "/a/{x}/c",
        "/a/b/d",
        "POST /a/b",
        "gw.test/a/*",
        "DELETE gw.test/*",
    ];
    for _ in 0..patterns.len() {
        patterns.rotate_left(1);
        let table = table(&patterns).unwrap();
        for (request, expected) in [
            ("/", "/*"),
            ("/b", "/*"),
            ("/a", "/a"),
            ("/a/", "/a/*"),
            ("/a/b", "/a/b"),
            ("POST /a/b", "POST /a/b"),
            ("/a/z", "/a/{x}"),
            ("/a/b/c", "/a/{x}/c"),
            ("/a/b/d", "/a/b/d"),
            ("/a/b/e", "/a/*"),
            ("/a/z/e/f", "/a/*"),
            ("gw.test/a", "gw.test/a/*"),
            ("gw.test/a/b", "gw.test/a/*"),
            ("gw.test/b", "/*"),
            ("DELETE gw.test/b", "DELETE gw.test/*"),
            ("other.test/a/b", "/a/b"),
        ] {
            assert_eq!(found(&table, request), expected, "{request}");
        }
    }
}

#[test]
fn a_method_that_is_not_taken_falls_to_the_next_route() {
    let table = table(&["GET /api/*", "/*", "GET /only"]).unwrap();
    assert_eq!(found(&table, "GET /api/x"), "GET /api/*");
    assert_eq!(found(&table, "POST /api/x"), "/*");
    assert_eq!(found(&table, "POST /only"), "/*");
}

#[test]
fn routes_that_cannot_be_ordered_are_refused_by_name() {
    for (first, second) in [
        ("/a/{x}", "/a/{y}"),
        ("/a", "/a"),
        ("/%61", "/a"),
        ("/a/*", "/a/*"),
        ("GET,POST /a", "POST,PUT /a"),
        ("GET /a", "HEAD /a"),
        ("gw.test/a", "GW.TEST/a"),
    ] {
        let overlap = RouteError::Overlap {
            first: first.to_owned(),
            second: second.to_owned(),
        };
        assert_eq!(table(&[first, second]).unwrap_err(), overlap);
    }
    assert!(table(&["GET /a", "POST /a", "/a", "gw.test/a", "/a/"]).is_ok());
}

#[test]
fn malformed_patterns_are_refused() {
    for (text, reason) in [
        ("", PatternError::Path(PathError::Relative)),
        ("/a/../b", PatternError::Path(PathError::DotSegment)),
        ("//a", PatternError::Path(PathError::EmptySegment)),
        ("/a%2Fb", PatternError::Path(PathError::EncodedDelimiter)),
        ("/caf\u{e9}", PatternError::Path(PathError::Byte)),
        ("/a?b", PatternError::Query),
        ("/a*", PatternError::Brace),
        ("/*/a", PatternError::Brace),
        ("/a/**", PatternError::Brace),
        ("/{}", PatternError::Brace),
        ("/x{a}", PatternError::Brace),
        ("/{a}{b}", PatternError::Brace),
        ("/{*rest}", PatternError::Brace),
        ("gw.test:80/a", PatternError::Host),
        ("a,b/a", PatternError::Host),
    ] {
        let refused = table(&[text.to_owned().leak()]).unwrap_err();
        assert!(
            matches!(refused, RouteError::Pattern { reason: ref found, .. } if *found == reason),
            "{text}: {refused}"
        );
    }
    let none = Pattern {
        path: "/a".to_owned(),
        methods: Some(Vec::new()),
        ..Pattern::default()
    };
    assert!(Table::builder().insert(none, ()).build().is_err());
}

#[test]
fn long_paths_do_not_blow_the_search_up() {
    let names: Vec<String> = (0..12)
        .map(|depth| format!("{}/end", "/{a}/a".repeat(depth)))
        .collect();
    let builder = names.iter().fold(Table::builder(), |builder, path| {
        builder.insert(pattern(path), ())
    });
    let table = builder.build().unwrap();
    let path = "/a".repeat(4096);
    // With backtracking this would not end within anyone's patience.
    assert!(table.find(None, &path, &Method::GET).is_none());
}
