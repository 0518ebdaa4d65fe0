//! The matcher against a model that tries every route.

use std::cmp::Ordering;

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

/// A route of the model.
#[derive(Clone, Debug)]
struct Naive {
    host: Option<&'static str>,
    segments: Vec<&'static str>,
    methods: Option<Vec<Method>>,
}

impl Naive {
    fn pattern(&self) -> Pattern {
        Pattern {
            host: self.host.map(str::to_owned),
            path: format!("/{}", self.segments.join("/")),
            methods: self.methods.clone(),
        }
    }

    fn takes(&self, host: &str, path: &[&str], method: &Method) -> bool {
        let host_fits = self.host.is_none_or(|own| own == host);
        let method_fits = self.methods.as_ref().is_none_or(|own| {
            own.contains(method) || (method == Method::HEAD && own.contains(&Method::GET))
        });
        host_fits && method_fits && self.path_fits(path)
    }

    fn path_fits(&self, path: &[&str]) -> bool {
        let fits = |(own, segment): (&&str, &&str)| match *own {
            "{x}" => !segment.is_empty(),
            literal => literal == *segment,
        };
        match self.segments.split_last() {
            Some((&"*", above)) => path.len() >= above.len() && above.iter().zip(path).all(fits),
            _ => self.segments.len() == path.len() && self.segments.iter().zip(path).all(fits),
        }
    }

    /// The more specific route is the greater one.
    fn rank(&self, other: &Self) -> Ordering {
        let kind = |segment: Option<&&str>| match segment {
            Some(&"*") => 0,
            Some(&"{x}") => 1,
            Some(_) | None => 2,
        };
        let longest = self.segments.len().max(other.segments.len());
        let by_path = (0..longest)
            .map(|at| kind(self.segments.get(at)).cmp(&kind(other.segments.get(at))))
            .find(|order| order.is_ne());
        self.host
            .is_some()
            .cmp(&other.host.is_some())
            .then(by_path.unwrap_or(Ordering::Equal))
            .then(self.methods.is_some().cmp(&other.methods.is_some()))
    }
}

fn route() -> impl Strategy<Value = Naive> {
    let segments = (
        vec(select(vec!["a", "b", "{x}"]), 0..3),
        select(vec![None, Some(""), Some("*")]),
    );
    let segments = segments.prop_map(|(mut segments, last)| {
        segments.extend(last);
        if segments.is_empty() {
            segments.push("");
        }
        segments
    });
    let methods = select(vec![
        vec![Method::GET],
        vec![Method::POST],
        vec![Method::POST, Method::HEAD],
    ]);
    (option::of(Just("h")), segments, option::of(methods)).prop_map(|(host, segments, methods)| {
        Naive {
            host,
            segments,
            methods,
        }
    })
}

proptest! {
    #[test]
    fn the_matcher_agrees_with_trying_every_route(
        routes in vec(route(), 1..8),
        host in select(vec!["h", "i"]),
        path in vec(select(vec!["a", "b", "c"]), 0..4),
        slash in any::<bool>(),
        method in select(vec![Method::GET, Method::HEAD, Method::POST, Method::PUT]),
    ) {
        let builder = routes.iter().enumerate().fold(Table::builder(), |builder, (index, route)| {
            builder.insert(route.pattern(), index)
        });
        // Routes that cannot be ordered have no table, which tests of their own hold.
        let Ok(table) = builder.build() else { return Ok(()) };
        let mut segments = path;
        if slash || segments.is_empty() {
            segments.push("");
        }
        let text = format!("/{}", segments.join("/"));
        let taking = (0..routes.len()).filter(|at| routes[*at].takes(host, &segments, &method));
        let best = taking.max_by(|a, b| routes[*a].rank(&routes[*b]));
        let found = table.find(Some(host), &text, &method).copied();
        prop_assert_eq!(found, best, "{} {}", method, text);
    }

    #[test]
    fn another_spelling_folds_into_the_route_of_the_plain_one(
        routes in vec(route(), 2..8),
        host in select(vec!["h", "i"]),
        path in vec((select(vec!["a", "b", "c"]), select(vec!["", ".", "%20", "%20."])), 1..4),
        method in select(vec![Method::GET, Method::POST, Method::PUT]),
    ) {
        let builder = routes.iter().enumerate().fold(Table::builder(), |builder, (index, route)| {
            builder.insert(route.pattern(), index)
        });
        let Ok(table) = builder.build() else { return Ok(()) };
        let plain: String = path.iter().map(|(name, _)| format!("/{name}")).collect();
        let spelt = path.iter().map(|(name, end)| format!("/{}{end}", name.to_uppercase()));
        let spelt: String = spelt.collect();
        let folded: Vec<_> = table.find_folded(Some(host), &spelt, &method).copied().collect();
        match table.find(Some(host), &plain, &method) {
            Some(found) => prop_assert!(folded.contains(found), "{} {} {:?}", spelt, found, folded),
            None => prop_assert!(folded.is_empty(), "{} {:?}", spelt, folded),
        }
    }
}
