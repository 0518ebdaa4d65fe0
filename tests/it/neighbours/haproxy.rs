//! HAProxy, by an action in Lua.

use std::{path::Path, process::Command};

use super::{Neighbour, neighbour};
use crate::support::programs::program;

const HAPROXY: Neighbour = Neighbour {
    files: &["haproxy.cfg", "haproxy.lua"],
    command,
    gateway_gone: 503,
};

fn command(folder: &Path) -> Command {
    let mut haproxy = program("haproxy");
    haproxy.arg("-db").arg("-f").arg(folder.join("haproxy.cfg"));
    haproxy
}

neighbour!(HAPROXY, "needs haproxy; tests/run installs it");
