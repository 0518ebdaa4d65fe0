//! `check --online`: asks Clerk whether what is configured would work.

use std::process::ExitCode;

use super::{runtime, setup::Setup};
use crate::{clerk::Error, config::Settings, handle::Clerk};

/// What was asked, and what came of it.
enum Outcome {
    Good(String),
    Bad(String),
    /// It could not be found out, and why.
    Unknown(String),
}

/// Asks, and prints a line an answer; the status is 1 where something would not work.
pub(super) fn run(setup: &Setup, settings: &Settings) -> ExitCode {
    let runtime = match runtime::runtime(1) {
        Ok(runtime) => runtime,
        Err(status) => return status,
    };
    let clerk = setup.gateway.current().clerk.clone();
    let outcomes = runtime.block_on(ask(&clerk, settings));
    for outcome in &outcomes {
        match outcome {
            Outcome::Good(said) => eprintln!("good: {said}"),
            Outcome::Bad(said) => eprintln!("error: {said}"),
            Outcome::Unknown(said) => eprintln!("unknown: {said}"),
        }
    }
    match outcomes
        .iter()
        .any(|outcome| matches!(outcome, Outcome::Bad(_)))
    {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

async fn ask(clerk: &Clerk, settings: &Settings) -> Vec<Outcome> {
    let mut outcomes = vec![keys(clerk).await];
    let answer = match settings.clerk.secret_key {
        Some(_) => clerk.template_names().await,
        None => return outcomes,
    };
    outcomes.push(secret_key(answer.as_ref().err()));
    let templates = settings
        .routes
        .iter()
        .enumerate()
        .filter_map(|(index, route)| Some((index, &route.token.as_ref()?.template)));
    for (index, name) in templates {
        outcomes.push(match &answer {
            Ok(known) if known.contains(name) => {
                Outcome::Good(format!("route[{index}].token: Clerk has the template {name:?}"))
            }
            Ok(known) => Outcome::Bad(format!(
                "route[{index}].token: Clerk has no JWT template named {name:?}; {}",
                fix(known)
            )),
            Err(_) => Outcome::Unknown(format!(
                "route[{index}].token: whether Clerk has the template {name:?}, as Clerk did not list them; \
                 see the Clerk dashboard, JWT templates"
            )),
        });
    }
    outcomes
}

async fn keys(clerk: &Clerk) -> Outcome {
    match clerk.ready().await {
        Ok(()) => Outcome::Good("the keys that verify session tokens are at hand".to_owned()),
        Err(error) => Outcome::Bad(format!(
            "the keys that verify session tokens cannot be had ({}); \
             check clerk.secret_key, clerk.api_url, clerk.jwks_url and the network",
            error.reason
        )),
    }
}

fn secret_key(error: Option<&Error>) -> Outcome {
    match error {
        None => Outcome::Good("Clerk accepts the secret key".to_owned()),
        Some(error) if error.is_unauthorized_key() => Outcome::Bad(
            "Clerk refuses the secret key; take it from the Clerk dashboard, API keys".to_owned(),
        ),
        Some(error) => Outcome::Unknown(format!(
            "whether Clerk accepts the secret key ({error}); check clerk.api_url and the network"
        )),
    }
}

fn fix(known: &[String]) -> String {
    match known {
        [] => "it has none: make it in the Clerk dashboard, JWT templates".to_owned(),
        known => format!("it has: {}", known.join(", ")),
    }
}
