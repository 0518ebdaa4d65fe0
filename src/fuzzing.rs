//! What the fuzz targets in `tests/fuzz` reach: there with `--cfg fuzzing` alone, and no part of the public API.
//!
//! Each room that reads bytes from outside has a door of its own, which says in plain types what was understood.

pub use crate::{
    cli::fuzzing::{Decided, Gateway},
    config::fuzzing::{Complaint, check_config},
    credential::fuzzing::{Presented, presented_bearer, presented_cookie, presented_id},
    decision::fuzzing::{Asked, asked_by_envoy, asked_by_header},
    proxy::fuzzing::{ends_at_boundary, rest_of_frame},
    request::fuzzing::{Canonical, Client, canonical, canonical_path, client, hasura_headers},
    server::fuzzing::{Fault, Scanned, scan},
    shared::fuzzing::{Vault, read_revocation},
    webhook::fuzzing::{Delivery, Said, read_delivery},
};
