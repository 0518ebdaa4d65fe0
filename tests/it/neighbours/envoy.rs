//! Envoy, by `ext_authz` over HTTP.

use std::{path::Path, process::Command};

use super::{Neighbour, neighbour};
use crate::support::programs::program;

const ENVOY: Neighbour = Neighbour {
    files: &["envoy.yaml"],
    command: |folder| command(folder, "envoy.yaml"),
    gateway_gone: 503,
};

pub(super) fn command(folder: &Path, file: &str) -> Command {
    let mut envoy = program("envoy");
    envoy.args([
        "--use-dynamic-base-id",
        "--concurrency",
        "1",
        "-l",
        "warn",
        "-c",
    ]);
    envoy.arg(folder.join(file));
    envoy
}

neighbour!(ENVOY, "needs Envoy from PyPI; tests/run installs it");
neighbour!(
    ENVOY,
    "needs Envoy from PyPI; tests/run installs it",
    attacks,
    a_trailer_tells_the_app_nothing
);
