//! The house's rules that a reader of the source can hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A source file without its tests.
struct Source {
    /// As in `verify/jwks.rs`.
    path: String,
    /// The top-level module, as in `verify`.
    room: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let source = |file: PathBuf| {
        let path = file.strip_prefix(&root).unwrap();
        let path = path.to_str().unwrap().replace('\\', "/");
        let room = path.split('/').next().unwrap().trim_end_matches(".rs");
        Source {
            room: room.to_owned(),
            code: without_tests(&fs::read_to_string(&file).unwrap()),
            path,
        }
    };
    let is_test =
        |source: &Source| source.path.ends_with("tests.rs") || source.path.contains("/tests/");
    let sources: Vec<_> = files.into_iter().map(source).collect();
    sources.into_iter().filter(|s| !is_test(s)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

/// Tests stand last in a file; comments and docs are no code.
fn without_tests(text: &str) -> String {
    let is_tests = |line: &str| line.starts_with("#[cfg(") && line.contains("test");
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().copied().unwrap_or_default();
        if is_tests(line) && next.starts_with("mod tests {") {
            break;
        }
        let line = line.trim_start();
        if !line.starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// The top-level modules that each imports.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let sources = sources();
    let rooms: BTreeSet<_> = sources.iter().map(|source| source.room.clone()).collect();
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in &sources {
        let found = imports.entry(source.room.clone()).or_default();
        for name in crate_paths(&source.code) {
            if name != source.room && rooms.contains(&name) {
                found.insert(name);
            }
        }
    }
    imports
}

/// The first segment of every `crate::…` path, those in braces included.
fn crate_paths(code: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let Some(list) = rest.strip_prefix('{') else {
            found.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && c.is_alphanumeric() => {
                    found.push(word(&list[at..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn rooms_do_not_import_in_circles() {
    let imports = imports();
    assert!(imports["pipeline"].contains("rule"), "the scan is blind");
    for room in imports.keys() {
        let mut reached = BTreeSet::new();
        let mut open = vec![room.clone()];
        while let Some(next) = open.pop() {
            for import in imports.get(&next).into_iter().flatten() {
                assert_ne!(import, room, "{room} imports itself by way of {next}");
                if reached.insert(import.clone()) {
                    open.push(import.clone());
                }
            }
        }
    }
}

#[test]
fn the_forbidden_edges_are_absent() {
    let imports = imports();
    let stages = [
        "request",
        "route",
        "credential",
        "verify",
        "policy",
        "mutate",
        "reject",
        "rule",
        "proxy",
        "layer",
        "pipeline",
        "decision",
        "clerk",
        "cache",
    ];
    for stage in stages {
        for above in ["config", "server", "cli"] {
            assert!(!imports[stage].contains(above), "{stage} imports {above}");
        }
    }
    for part in [
        "credential",
        "verify",
        "policy",
        "mutate",
        "rule",
        "session",
    ] {
        assert!(!imports["proxy"].contains(part), "proxy imports {part}");
    }
    for (leaf, allowed) in [
        ("sync", &[][..]),
        ("time", &[]),
        ("recent", &["sync"]),
        ("session", &["revocation", "time"]),
        ("instance", &[]),
        ("problem", &[]),
        ("revocation", &["sync", "time"]),
        ("cache", &["recent", "time"]),
    ] {
        let extra: Vec<_> = imports[leaf]
            .iter()
            .filter(|import| !allowed.contains(&import.as_str()))
            .collect();
        assert!(extra.is_empty(), "{leaf} imports {extra:?}");
    }
}

fn users_of(words: &[&str], allowed: &[&str]) -> Vec<String> {
    sources()
        .into_iter()
        .filter(|source| !allowed.iter().any(|path| source.path.starts_with(path)))
        .filter(|source| words.iter().any(|word| source.code.contains(word)))
        .map(|source| source.path)
        .collect()
}

#[test]
fn refusals_statuses_are_chosen_in_their_rooms() {
    // The proxy judges the upstream's own statuses; the client and the sandbox speak Clerk's.
    let rooms = [
        "reject.rs",
        "proxy/",
        "problem.rs",
        // Hasura takes nothing for a refusal but 401.
        "decision/hasura/",
        // nginx takes nothing for a refusal but 401 and 403.
        "decision/nginx.rs",
        "decision/mod.rs",
        "server/",
        "clerk/",
        "sandbox/",
    ];
    let users = users_of(&["StatusCode::"], &rooms);
    assert!(users.is_empty(), "{users:?}");
}

#[test]
fn the_clock_is_read_at_the_edges_alone() {
    // Beside the clock itself, durations: of calls for metrics, of waits for upstreams and their bodies.
    let edges = [
        "time.rs",
        "limit/activity.rs",
        "proxy/",
        "server/",
        "cli/",
        "clerk/",
        "sandbox/",
        "telemetry/",
    ];
    let users = users_of(&["SystemTime::now", "Instant::now"], &edges);
    assert!(users.is_empty(), "{users:?}");
}

#[test]
fn files_and_environment_are_read_in_their_rooms() {
    let rooms = [
        "config/",
        "cli/",
        "telemetry/logs.rs",
        "telemetry/trace.rs",
        "handle/mod.rs",
        "sandbox/",
    ];
    let users = users_of(&["std::fs", "fs::read", "env::var", "std::env"], &rooms);
    assert!(users.is_empty(), "{users:?}");
}

#[test]
fn nothing_can_panic_on_what_comes_from_outside() {
    // The sandbox's handle panics on a test's own mistake, and says so in its docs.
    let users = users_of(
        &[".unwrap()", ".expect(", "panic!(", "unreachable!("],
        &["sandbox/"],
    );
    assert!(users.is_empty(), "{users:?}");
    let unsafe_code = users_of(&["unsafe "], &[]);
    assert!(unsafe_code.is_empty(), "{unsafe_code:?}");
}

#[test]
fn a_credential_shows_itself_nowhere() {
    for source in sources() {
        for line in [
            "Display for Credential<",
            "Display for Credential ",
            "Serialize for Credential<",
        ] {
            assert!(!source.code.contains(line), "{}: {line}", source.path);
        }
    }
}
