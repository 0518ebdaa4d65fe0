//! Huge pages for the heap, where the system gives them to those who ask.
//!
//! A request touches memory that thousands of other connections lie between: with pages of 4 KiB, finding where each
//! address is takes longer than the work itself, above all in a virtual machine. Of the C library's own allocator only
//! its environment can ask, and only before the program begins, so the program begins once more, as the same process.

use std::{ffi::OsString, fs};

/// What the system does with huge pages; the mode that counts stands in brackets.
const MODE: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
/// Settings of the C library, separated by colons (glibc manual, "Tunables").
const TUNABLES: &str = "GLIBC_TUNABLES";
/// Which pages `malloc` takes; 1: huge ones, by `madvise`.
const HUGE_PAGES: &str = "glibc.malloc.hugetlb";
/// Tells a program that has begun once more, whatever has become of the setting: setuid programs lose it.
const AGAIN: &str = "CLERK_GATEWAY_BEGUN_AGAIN";

/// Begins the program once more with huge pages for its heap.
///
/// Returns where that has been done, where the system gives them to nobody or to all, where `GLIBC_TUNABLES` says
/// something about them already, and where it fails: the gateway then runs as it is, only slower.
pub(super) fn ask_for() {
    if !cfg!(all(target_os = "linux", target_env = "gnu")) || std::env::var_os(AGAIN).is_some() {
        return;
    }
    let mode = fs::read_to_string(MODE).unwrap_or_default();
    if let Some(tunables) = tunables(&mode, std::env::var_os(TUNABLES)) {
        begin_again(&tunables);
    }
}

/// Returns the settings that ask; `None`: there is nothing to ask for.
fn tunables(mode: &str, set: Option<OsString>) -> Option<String> {
    if !mode.contains("[madvise]") {
        return None;
    }
    let ours = format!("{HUGE_PAGES}=1");
    match set {
        None => Some(ours),
        Some(set) => {
            let set = set.into_string().ok()?;
            (!set.contains(HUGE_PAGES)).then(|| format!("{set}:{ours}"))
        }
    }
}

#[cfg(unix)]
fn begin_again(tunables: &str) {
    use std::{env, os::unix::process::CommandExt, process::Command};

    let mut arguments = env::args_os();
    let (Some(name), Ok(program)) = (arguments.next(), env::current_exe()) else {
        return;
    };
    let error = Command::new(program)
        .arg0(name)
        .args(arguments)
        .env(TUNABLES, tunables)
        .env(AGAIN, "1")
        .exec();
    tracing::debug!(
        error = &error as &dyn std::error::Error,
        "no huge pages for the heap"
    );
}

#[cfg(not(unix))]
fn begin_again(_: &str) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_are_asked_for_only_where_asking_helps_and_nobody_has_decided() {
        let ours = "glibc.malloc.hugetlb=1";
        for (mode, set, wanted) in [
            ("always [madvise] never\n", None, Some(ours.to_owned())),
            (
                "always [madvise] never\n",
                Some("glibc.malloc.hugetlb=0"),
                None,
            ),
            (
                "always [madvise] never\n",
                Some("glibc.malloc.check=1"),
                Some(format!("glibc.malloc.check=1:{ours}")),
            ),
            ("[always] madvise never\n", None, None),
            ("always madvise [never]\n", None, None),
            ("", None, None),
        ] {
            let set = set.map(OsString::from);
            assert_eq!(tunables(mode, set.clone()), wanted, "{mode} {set:?}");
        }
    }
}
