//! `explain`: what the gateway would make of one request, by the gateway's own pipeline.

use std::{
    error::Error,
    fmt::Write,
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use http::{
    HeaderName, HeaderValue, Method, Request, Uri,
    header::{AUTHORIZATION, COOKIE, HOST},
    request::Parts,
};
use serde::Serialize;

use super::{BAD_USAGE, config_args::ConfigArgs, runtime, setup::Setup};
use crate::{
    pipeline::{Passed, Pipeline, Refusal, Route},
    request::{Peer, Scheme},
    rule::RequestHead,
    server::Target,
};

/// Says which route a request meets, what it presents, and which check decides.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The request's method, as in GET.
    method: Method,
    /// The request's URL, as in <https://app.example.com/api>; a path alone is asked of localhost.
    url: String,
    /// A session token, sent as a bearer token.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// The file that holds it.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A header of the request; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The address that the request comes from.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    from: IpAddr,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What is said of a request; secrets are not in it.
#[derive(Debug, Serialize)]
struct Explanation {
    request: String,
    /// `None`: no route was found, or none was looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    credential: String,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<RefusalSaid>,
    /// What the upstream would be asked, or what a preflight is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    forwarded: Option<Forwarded>,
}

/// Which check refuses, and why.
#[derive(Debug, Serialize)]
struct RefusalSaid {
    stage: &'static str,
    code: &'static str,
    status: u16,
    causes: Vec<String>,
    /// Where a browser is sent instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_in: Option<String>,
}

/// A head, redacted.
#[derive(Debug, Serialize)]
struct Forwarded {
    line: String,
    headers: Vec<(String, String)>,
}

/// Prints the explanation; the status is 0 where the request passes, and 1 where it is refused.
pub(super) fn run(args: &Args) -> ExitCode {
    let setup = match args.config.load().and_then(|loaded| Setup::new(&loaded)) {
        Ok(setup) => setup,
        Err(status) => return status,
    };
    let (peer, parts) = match args.request() {
        Ok(request) => request,
        Err(complaint) => {
            eprintln!("error: {complaint}");
            return ExitCode::from(BAD_USAGE);
        }
    };
    let runtime = match runtime::runtime(1) {
        Ok(runtime) => runtime,
        Err(status) => return status,
    };
    let current = setup.gateway.current();
    let explanation = match current.own_endpoint(parts.uri.path()) {
        Some(name) => Explanation::of_own(name, &parts),
        None => runtime.block_on(explain(&current.pipeline, &peer, parts)),
    };
    let text = match args.json {
        true => serde_json::to_string_pretty(&explanation).unwrap_or_default() + "\n",
        false => explanation.text(),
    };
    match (super::print(&text), explanation.refusal) {
        (status, None) => status,
        (_, Some(_)) => ExitCode::FAILURE,
    }
}

impl Args {
    fn request(&self) -> Result<(Peer, Parts), String> {
        // Reading the URL would cut it off; the gateway refuses it.
        if self.url.contains('#') {
            return Err(
                "no client sends a URL's fragment: leave out the # and what follows".into(),
            );
        }
        let url: Uri = self
            .url
            .parse()
            .map_err(|_| format!("{:?} is no URL", self.url))?;
        let target = url.path_and_query().ok_or("the URL has no path")?;
        let host = url.authority().map_or("localhost", |host| host.as_str());
        let request = Request::builder().method(&self.method).uri(target.as_str());
        let request = request.header(HOST, host).body(());
        let (mut parts, ()) = request.map_err(|error| error.to_string())?.into_parts();
        for header in &self.headers {
            let (name, value) = read_header(header)?;
            match name == HOST {
                true => drop(parts.headers.insert(name, value)),
                false => drop(parts.headers.append(name, value)),
            }
        }
        if let Some(token) = self.token()? {
            let bearer = HeaderValue::try_from(format!("Bearer {}", token.trim()));
            let bearer = bearer.map_err(|_| "the token holds what no header can carry")?;
            parts.headers.append(AUTHORIZATION, bearer);
        }
        let scheme = match url.scheme_str() {
            Some("https") => Scheme::Https,
            _ => Scheme::Http,
        };
        Ok((Peer::new(SocketAddr::new(self.from, 0), scheme), parts))
    }

    fn token(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.token_file else {
            return Ok(self.token.clone());
        };
        let read = fs::read_to_string(path);
        let token = read.map_err(|error| format!("{} cannot be read ({error})", path.display()))?;
        Ok(Some(token))
    }
}

fn read_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    // The value is not repeated: it may be a token.
    let bad = || "a header is not of the form \"Name: value\"".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(bad)?;
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| bad())?;
    Ok((name, value))
}

async fn explain(pipeline: &Pipeline<Target>, peer: &Peer, parts: Parts) -> Explanation {
    let presented = parts.clone();
    let mut parts = parts;
    let decided = pipeline.decide(peer, &mut parts).await;
    let route = match &decided {
        Ok(Passed::Forward(route, _) | Passed::Preflight(route, _)) => Some(route.as_ref()),
        Err(refusal) => refusal.route.as_deref(),
    };
    let mut explanation = Explanation {
        request: format!("{} {}", presented.method, presented.uri.path()),
        route: route.map(|route| route.name.clone()),
        upstream: route
            .and_then(|route| route.target.upstream.as_ref())
            .map(|upstream| upstream.name().to_owned()),
        credential: credential(route, &presented, pipeline.client(peer, &presented)),
        decision: "allow",
        refusal: None,
        forwarded: None,
    };
    match &decided {
        Ok(Passed::Forward(route, _)) => {
            explanation.forwarded = Some(Forwarded {
                line: format!("{} {}", parts.method, parts.uri),
                headers: redacted(&parts.headers, route.token_header.as_ref()),
            });
        }
        Ok(Passed::Preflight(_, headers)) => {
            explanation.forwarded = Some(Forwarded {
                line: "nothing: the preflight is answered with 204".to_owned(),
                headers: redacted(headers, None),
            });
        }
        Err(refusal) => {
            explanation.decision = "refuse";
            explanation.refusal = Some(RefusalSaid::of(refusal));
        }
    }
    explanation
}

/// Says what the request presents, before anything is taken off it.
fn credential(route: Option<&Route<Target>>, parts: &Parts, client: Option<IpAddr>) -> String {
    let Some(route) = route else {
        return "not looked for: there is no route".to_owned();
    };
    let Some(rule) = &route.rule else {
        return "not looked for: auth = \"none\"".to_owned();
    };
    let head = RequestHead {
        headers: &parts.headers,
        query: parts.uri.query(),
        peer: client,
    };
    match rule.presented(head) {
        Ok(Some(carrier)) => carrier.to_string(),
        Ok(None) => "none".to_owned(),
        Err(rejection) => format!("bad: {}", rejection.reason()),
    }
}

/// Returns names and values, those that may be secrets left out.
fn redacted(headers: &http::HeaderMap, token: Option<&HeaderName>) -> Vec<(String, String)> {
    let secret = |name: &HeaderName, value: &HeaderValue| {
        let is_token = value.as_bytes().windows(3).any(|part| part == b"eyJ");
        is_token || name == AUTHORIZATION || name == COOKIE || Some(name) == token
    };
    let shown = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = match value.to_str() {
            Ok(text) if !secret(name, value) => text.to_owned(),
            _ => "(redacted)".to_owned(),
        };
        (name.to_string(), value)
    };
    headers.iter().map(shown).collect()
}

impl RefusalSaid {
    fn of(refusal: &Refusal<Target>) -> Self {
        let rejection = &refusal.rejection;
        let mut causes = Vec::new();
        let mut next: Option<&dyn Error> = rejection.source();
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        let sign_in = refusal.sign_in.as_ref().and_then(|url| url.to_str().ok());
        Self {
            stage: rejection.stage(),
            code: rejection.reason(),
            status: rejection.status().as_u16(),
            causes,
            sign_in: sign_in.map(str::to_owned),
        }
    }
}

impl Explanation {
    /// Of a request that no route gets; what the endpoint makes of it is not tried, for it would have its effect.
    fn of_own(name: &str, parts: &Parts) -> Self {
        Self {
            request: format!("{} {}", parts.method, parts.uri.path()),
            route: Some(format!("none: it is the gateway's own endpoint, {name}")),
            upstream: None,
            credential: "not looked for here".to_owned(),
            decision: "answered by the gateway",
            refusal: None,
            forwarded: None,
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key:<11}{value}");
        };
        line("request", &self.request);
        line("route", self.route.as_deref().unwrap_or("none"));
        if let Some(upstream) = &self.upstream {
            line("upstream", upstream);
        }
        line("credential", &self.credential);
        match &self.refusal {
            None => line("decision", self.decision),
            Some(refusal) => {
                let RefusalSaid {
                    stage,
                    code,
                    status,
                    ..
                } = refusal;
                line("decision", &format!("refuse: {status} {code}, by {stage}"));
                for cause in &refusal.causes {
                    line("because", cause);
                }
                if let Some(url) = &refusal.sign_in {
                    line("sent to", url);
                }
            }
        }
        if let Some(forwarded) = &self.forwarded {
            line("forwarded", &forwarded.line);
            for (name, value) in &forwarded.headers {
                line("", &format!("{name}: {value}"));
            }
        }
        text
    }
}
