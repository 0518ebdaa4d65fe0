//! From the checked settings of Hasura's webhook to the webhook that runs.

use super::{build, build_route::source};
use crate::{
    config::{ConfigError, HasuraSettings, Loaded},
    credential::Sources,
    decision::hasura::{Webhook, variables},
    handle::{Clerk, SetupError, VerifierOptions},
    rule::{Auth, Rule},
    server::HasuraWebhook,
    telemetry::traffic::RouteCounter,
};

/// Makes the webhook.
///
/// # Errors
///
/// What shows only now, such as a verifier that lacks a key.
pub(super) fn webhook(
    loaded: &Loaded,
    clerk: &Clerk,
) -> Result<Option<HasuraWebhook>, ConfigError> {
    let Some(hasura) = &loaded.settings.decision.hasura else {
        return Ok(None);
    };
    let rule = rule(hasura, clerk);
    let rule = rule.map_err(|error| build::refuse(loaded, "decision.hasura", &error))?;
    Ok(Some(HasuraWebhook {
        webhook: Webhook {
            rule,
            roles: hasura.roles.clone(),
            variables: variables(&hasura.variables),
            max_age: hasura.max_age,
            max_body_bytes: hasura.max_body_bytes,
        },
        counter: RouteCounter::new("decision.hasura"),
        body_timeout: loaded.settings.server.body_idle_timeout,
    }))
}

fn rule(hasura: &HasuraSettings, clerk: &Clerk) -> Result<Rule, SetupError> {
    let order = hasura.credentials.iter().map(source).collect();
    Ok(Rule {
        auth: match hasura.anonymous {
            true => Auth::Optional,
            false => Auth::Required,
        },
        sources: Sources::new(order, clerk.instance().cookie_suffix())?,
        session_id_callers: Vec::new(),
        verifier: clerk.verifier(VerifierOptions {
            mode: Some(hasura.verify),
            authorized_parties: hasura.authorized_parties.clone(),
        })?,
        requirements: hasura.require.clone(),
        token: None,
    })
}
