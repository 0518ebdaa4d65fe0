//! Envoy, by `ext_authz` over HTTP.

use std::{path::Path, process::Command};

use super::{Neighbour, neighbour};
use crate::support::programs::program;

const ENVOY: Neighbour = Neighbour {
    files: &["envoy.yaml"],
    command,
    gateway_gone: 503,
};

fn command(folder: &Path) -> Command {
    let mut envoy = program("envoy");
    envoy.args([
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
        "-l",
        "warn",
        "-c",
    ]);
    envoy.arg(folder.join("envoy.yaml"));
    envoy
}

neighbour!(ENVOY, "needs Envoy from PyPI; tests/run installs it");
neighbour!(
    ENVOY,
    "needs Envoy from PyPI; tests/run installs it",
    attacks,
    a_trailer_tells_the_app_nothing
);
