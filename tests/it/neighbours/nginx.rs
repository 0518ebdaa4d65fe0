//! nginx, by `auth_request`.

use std::{fs, path::Path, process::Command};

use super::{Neighbour, neighbour};
use crate::support::programs::{program, text};

const NGINX: Neighbour = Neighbour {
    files: &["nginx.conf"],
    command,
    gateway_gone: 503,
};

/// What the file leaves to the system's own folders is kept in the test's.
fn command(folder: &Path) -> Command {
    let file = folder.join("nginx.conf");
    let kept: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {}/{what};\n", folder.display()))
        .concat();
    let shipped = fs::read_to_string(&file).unwrap();
    let http = format!("\nhttp {{\naccess_log off;\n{kept}");
    fs::write(&file, shipped.replacen("\nhttp {\n", &http, 1)).unwrap();
    let mut nginx = program("nginx");
    let pid = format!("pid {}/pid;", folder.display());
    nginx.args(["-e", "stderr", "-c", text(&file), "-g"]);
    nginx.arg(format!(
        "daemon off; master_process off; error_log stderr; {pid}"
    ));
    nginx
}

neighbour!(NGINX, "needs nginx; tests/run installs it");
neighbour!(
    NGINX,
    "needs nginx; tests/run installs it",
    attacks,
    a_trailer_tells_the_app_nothing
);
