//! From the checked settings of the gateway's own endpoints to the endpoints that run.

use std::sync::Arc;

use super::{build, build_route::source};
use crate::{
    config::{ConfigError, Loaded, SignOutSettings, WebhookSettings},
    credential::Sources,
    handle::{Clerk, SetupError, VerifierOptions},
    policy::cross_site::SameSite,
    rule::{Auth, Rule},
    server::{OwnEndpoints, SignOut, Webhooks},
    telemetry::traffic::RouteCounter,
    verify::VerifyMode,
    webhook::Delivered,
};

/// Makes the endpoints; webhooks that `delivered` knows have no effect again.
///
/// # Errors
///
/// What shows only now, such as a verifier that lacks a key.
pub(super) fn endpoints(
    loaded: &Loaded,
    clerk: &Clerk,
    delivered: &Arc<Delivered>,
) -> Result<OwnEndpoints, ConfigError> {
    let settings = &loaded.settings;
    let webhooks = settings.webhooks.clone();
    let webhooks = webhooks.map(|WebhookSettings { path, secrets }| {
        Webhooks::new(path, secrets, Arc::clone(delivered))
    });
    let trusted = settings.clerk.authorized_parties.clone();
    let sign_out = settings.sign_out.as_ref().map(|settings| {
        sign_out(settings, trusted.unwrap_or_default(), clerk)
            .map_err(|error| build::refuse(loaded, "sign_out", &error))
    });
    Ok(OwnEndpoints {
        webhooks,
        sign_out: sign_out.transpose()?,
    })
}

fn sign_out(
    settings: &SignOutSettings,
    trusted: Vec<String>,
    clerk: &Clerk,
) -> Result<SignOut, SetupError> {
    let order = settings.credentials.iter().map(source).collect();
    let rule = Rule {
        auth: Auth::Required,
        sources: Sources::new(order, clerk.instance().cookie_suffix())?,
        session_id_callers: Vec::new(),
        verifier: clerk.verifier(VerifierOptions {
            // Whoever holds the token may end its session, also while Clerk cannot be asked about it.
            mode: Some(VerifyMode::Networkless),
            authorized_parties: None,
        })?,
        requirements: Vec::new(),
        token: None,
    };
    Ok(SignOut {
        path: settings.path.clone(),
        counter: RouteCounter::new("sign-out"),
        rule,
        same_site: SameSite::new(trusted),
    })
}
