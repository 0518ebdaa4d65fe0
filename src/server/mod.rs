//! The process: listen, serve, drain; the admin port.

mod access_line;
mod admin;
mod answers;
mod connection;
mod cut;
mod decisions;
mod drain;
mod ext_authz;
mod gateway;
mod hasura_webhook;
mod listen;
mod oversight;
mod own;
mod preface;
mod request_id;
mod serve;
mod sign_out;
mod streams;
mod tls;
mod validity;
mod verdicts;
mod webhooks;
mod wire;
#[cfg(fuzzing)]
pub(crate) use wire::fuzzing;

pub(crate) use admin::{Admin, Reload};
pub(crate) use connection::Transport;
pub(crate) use decisions::Decisions;
pub(crate) use drain::{Drain, DrainTrigger, Drained, drain};
pub(crate) use ext_authz::ExtAuthz;
pub(crate) use gateway::{Current, Gateway, Target};
pub(crate) use hasura_webhook::HasuraWebhook;
pub(crate) use listen::{ListenError, bind};
pub(crate) use oversight::oversee;
pub(crate) use own::OwnEndpoints;
pub(crate) use serve::{Listener, ServeLimits, serve};
pub(crate) use sign_out::SignOut;
pub(crate) use tls::{
    CertificatePem, ClientCertificates, Presence, ServedCertificate, Tls, TlsError, TlsIdentity,
};
#[cfg(test)]
pub(crate) use validity::Validity;
pub(crate) use webhooks::Webhooks;
