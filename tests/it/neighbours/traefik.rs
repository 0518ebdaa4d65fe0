//! Traefik, by `ForwardAuth`.

use std::{path::Path, process::Command};

use super::{Neighbour, neighbour};
use crate::support::programs::program;

const TRAEFIK: Neighbour = Neighbour {
    files: &["traefik.yaml", "traefik-routes.yaml"],
    command,
    gateway_gone: 500,
};

fn command(folder: &Path) -> Command {
    let mut traefik = program("traefik");
    let file = folder.join("traefik.yaml");
    traefik.arg(format!("--configFile={}", file.display()));
    traefik
}

neighbour!(TRAEFIK, "needs Traefik from PyPI; tests/run installs it");
neighbour!(
    TRAEFIK,
    "needs Traefik from PyPI; tests/run installs it",
    attacks,
    a_trailer_tells_the_app_nothing
);
