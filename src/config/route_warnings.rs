//! What works among routes but may not be meant.

use http::{HeaderValue, Method};

use super::{
    error::Findings, route::Auth, route_check::RouteSettings, session::CredentialSettings,
};
use crate::{
    request::canonical_path,
    route::{Pattern, Table},
};

/// A segment that no route is likely to name.
const SOMETHING: &str = "clerk-gateway-sample";

/// The routes, as the gateway will order them.
struct Routes<'a> {
    all: &'a [RouteSettings],
    table: Table<usize>,
}

/// Notes what may not be meant; routes that do not make a table are complained about elsewhere.
pub(crate) fn warn(all: &[RouteSettings], findings: &mut Findings) {
    let table = all
        .iter()
        .enumerate()
        .fold(Table::builder(), |table, (index, route)| {
            table.insert(pattern(route), index)
        });
    let Ok(table) = table.build() else { return };
    let routes = Routes { all, table };
    for (index, route) in all.iter().enumerate() {
        routes.warn_of_slash(index, route, findings);
        routes.warn_of_open_ground(index, route, findings);
        routes.warn_of_unreachable(index, route, findings);
        warn_of_pages_that_cannot_write(index, route, findings);
    }
}

impl Routes<'_> {
    /// `/a` and `/a/` are different paths, and upstreams often take them for one.
    fn warn_of_slash(&self, index: usize, route: &RouteSettings, findings: &mut Findings) {
        if route.path == "/" || route.path.ends_with("/*") {
            return;
        }
        let twin = match route.path.strip_suffix('/') {
            Some(path) => path.to_owned(),
            None => format!("{}/", route.path),
        };
        let sample = sample(&twin);
        let Some(met) = self.weakest(route, &sample) else {
            let what = format!(
                "takes {:?} and not {twin:?}, which is another path: 404",
                route.path
            );
            let fix = format!(
                "add a route for {twin:?} if your service serves it, or end the path with /*"
            );
            findings.warning(&format!("route[{index}].path"), what, fix);
            return;
        };
        if met != index && strictness(&self.all[met]) < strictness(route) {
            let what = format!("does not take {twin:?}, which route[{met}] lets through with less");
            let fix = format!("add a route for {twin:?} that requires the same");
            findings.warning(&format!("route[{index}].path"), what, fix);
        }
    }

    /// A typo in the stricter route's path, or in a caller's URL, falls to the public one.
    fn warn_of_open_ground(&self, index: usize, route: &RouteSettings, findings: &mut Findings) {
        let Some(ground) = route
            .path
            .strip_suffix('*')
            .filter(|_| route.auth == Auth::None)
        else {
            return;
        };
        let within = |other: &RouteSettings| {
            let below = other.path.starts_with(ground) && other.path != route.path;
            let same_host = route.host.is_none() || route.host == other.host;
            below && same_host && strictness(other) > strictness(route)
        };
        if let Some(stricter) = self.all.iter().position(within) {
            let path = &self.all[stricter].path;
            let what = format!(
                "is public and surrounds route[{stricter}] ({path:?}): what misses that path by a letter is public"
            );
            let fix = "name what is public, as in \"/assets/*\", and require a session of the rest";
            findings.warning(&format!("route[{index}].path"), what, fix);
        }
    }

    fn warn_of_unreachable(&self, index: usize, route: &RouteSettings, findings: &mut Findings) {
        let samples = match route.path.strip_suffix("/*") {
            Some(above) => {
                let deep = format!("{above}/{SOMETHING}/{SOMETHING}/{SOMETHING}");
                vec![
                    above.to_owned(),
                    format!("{above}/"),
                    format!("{above}/{SOMETHING}"),
                    deep,
                ]
            }
            None => vec![route.path.clone()],
        };
        let reached = samples.iter().any(|path| {
            methods(route)
                .iter()
                .any(|method| self.find(route, &sample(path), method) == Some(index))
        });
        if !reached {
            let what = format!(
                "{:?} is never met: other routes take all its requests",
                route.path
            );
            findings.warning(
                &format!("route[{index}].path"),
                what,
                "remove it, or the others",
            );
        }
    }

    fn find(&self, like: &RouteSettings, path: &str, method: &Method) -> Option<usize> {
        let path = canonical_path(path).ok()?;
        self.table
            .find(like.host.as_deref(), &path, method)
            .copied()
    }

    /// Returns the least strict of the routes that a path meets with a route's methods.
    fn weakest(&self, like: &RouteSettings, path: &str) -> Option<usize> {
        let met = methods(like);
        let met = met
            .iter()
            .filter_map(|method| self.find(like, path, method));
        met.min_by_key(|index| strictness(&self.all[*index]))
    }
}

/// A page that may send its cookies is still another site's, unless it is an authorized party.
fn warn_of_pages_that_cannot_write(index: usize, route: &RouteSettings, findings: &mut Findings) {
    let Some(cors) = route
        .cors
        .as_ref()
        .filter(|cors| cors.credentials.is_some())
    else {
        return;
    };
    let parties = route.authorized_parties.as_deref().unwrap_or_default();
    let trusted = |origin: &HeaderValue| parties.iter().any(|party| origin == party.as_str());
    let by_cookie = route.credentials.contains(&CredentialSettings::Cookie);
    let judged = route.csrf && by_cookie && route.auth != Auth::None;
    let stranger = cors.origins.iter().find(|origin| !trusted(origin));
    if let Some(origin) = stranger.filter(|_| judged) {
        let what = format!("{origin:?} may send cookies, and what it changes with them is 403");
        let fix = "name it in authorized_parties, or set credentials = false";
        findings.warning(&format!("route[{index}].cors"), what, fix);
    }
}

fn pattern(route: &RouteSettings) -> Pattern {
    Pattern {
        host: route.host.clone(),
        path: route.path.clone(),
        methods: route.methods.clone(),
    }
}

fn methods(route: &RouteSettings) -> Vec<Method> {
    // A route for any method is met with one that no other is likely to name, too.
    let any = || vec![Method::GET, Method::POST, Method::OPTIONS, Method::PATCH];
    route.methods.clone().unwrap_or_else(any)
}

fn strictness(route: &RouteSettings) -> u8 {
    match route.auth {
        Auth::None => 0,
        Auth::Optional => 1,
        Auth::Required if route.require.is_empty() => 2,
        Auth::Required => 3,
    }
}

/// Returns a path that a pattern takes.
fn sample(path: &str) -> String {
    let segment = |segment: &str| match segment.starts_with('{') {
        true => SOMETHING.to_owned(),
        false => segment.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}
