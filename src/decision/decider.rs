//! Who may ask for decisions.

use std::net::IpAddr;

use crate::request::TrustedProxies;

/// Decides for callers.
#[derive(Clone, Debug)]
pub(crate) struct Decider {
    callers: TrustedProxies,
}

impl Decider {
    /// Takes who may ask.
    pub(crate) fn new(callers: TrustedProxies) -> Self {
        Self { callers }
    }

    /// Tells whether somebody at this address may ask.
    pub(crate) fn may_ask(&self, address: IpAddr) -> bool {
        self.callers.contains(address)
    }
}
