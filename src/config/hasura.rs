//! A route's `hasura`: what goes with it, and what does not.

use super::{error::Findings, route::RouteSection};
use crate::mutate::role_wish::X_HASURA_ROLE;

/// Notes what keeps a route from serving Hasura.
pub(super) fn check(route: &RouteSection, place: &str, findings: &mut Findings) {
    if !route.hasura {
        return;
    }
    let Some(token) = &route.token else {
        let what = "the roles that a caller may have are in the template token, and there is none";
        let fix = "add token = { template = \"…\" }, or remove hasura";
        findings.problem(&format!("{place}.hasura"), what, fix);
        return;
    };
    let is_role = |name: &str| name.eq_ignore_ascii_case(X_HASURA_ROLE.as_str());
    let header = route.headers.keys().find(|name| is_role(name));
    let header = header.map(|name| format!("{place}.headers.{name}"));
    let stripped = route.strip_headers.iter().position(|name| is_role(name));
    let stripped = stripped.map(|index| format!("{place}.strip_headers[{index}]"));
    let carrier = is_role(&token.header).then(|| format!("{place}.token.header"));
    for key in [header, stripped, carrier].into_iter().flatten() {
        let what = "hasura = true has X-Hasura-Role for the role that a caller wishes for";
        findings.problem(&key, what, "remove one of the two");
    }
}
