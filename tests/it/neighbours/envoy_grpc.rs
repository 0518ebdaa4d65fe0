//! Envoy, by `ext_authz` over gRPC.

use std::{path::Path, process::Command};

use super::{Neighbour, neighbour};
use crate::support::programs::program;

const ENVOY: Neighbour = Neighbour {
    files: &["envoy-grpc.yaml"],
    command,
    gateway_gone: 503,
};

fn command(folder: &Path) -> Command {
    let mut envoy = program("envoy");
    envoy.args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "warn"]);
    envoy.arg("-c").arg(folder.join("envoy-grpc.yaml"));
    envoy
}

neighbour!(ENVOY, "needs Envoy from PyPI; tests/run installs it");
