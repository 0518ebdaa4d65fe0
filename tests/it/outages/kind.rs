//! What is asked of the gateway, and which answers are right in which phase of an outage.

/// A kind of request.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    /// A route without authentication.
    Public,
    /// No credential.
    SignedOut,
    /// A token with another signature.
    Forged,
    /// A token past its end.
    Expired,
    /// A good token where tokens alone decide.
    Networkless,
    /// A session that is asked for all the time.
    Known,
    /// The same with a body, so that nothing may be sent twice.
    Post,
    /// A session whose template token is at hand.
    Template,
    /// A bare session ID of a good session.
    Bare,
    /// A session that was revoked long ago, whose token still looks good.
    Revoked,
    /// A session that nobody has asked for yet.
    New,
    /// The same, and the route wants a template token of it.
    NewToken,
    /// A token that names a key which does not exist.
    UnknownKid,
    /// A new session's request, whose client goes away before the answer.
    Leaver,
    /// A session that one of the replicas has refused since before the row, and only tokens decide.
    Ended,
    /// One that the row revokes on a replica, asked for there.
    Own,
    /// The same, asked for at the others.
    Others,
}

use Kind::*;

/// What every row asks, in turn.
pub(super) const MIX: &[Kind] = &[
    Public,
    Known,
    Template,
    Post,
    Known,
    Networkless,
    New,
    Known,
    Bare,
    Revoked,
    Template,
    Networkless,
    Forged,
    Known,
    NewToken,
    Post,
    Expired,
    Template,
    SignedOut,
    Known,
];

/// What is right while a phase lasts.
#[derive(Clone, Copy)]
pub(super) struct Phase {
    pub(super) allows: fn(Kind) -> &'static [u16],
    /// The replica whose connections may end without an answer.
    pub(super) may_lose: Option<usize>,
}

const fn phase(allows: fn(Kind) -> &'static [u16]) -> Phase {
    Phase {
        allows,
        may_lose: None,
    }
}

/// Nothing fails.
pub(super) const CALM: Phase = phase(calm);

/// Clerk answers late.
pub(super) const SLOW: Phase = phase(|kind| match kind {
    New | NewToken | Bare => &[200, 503],
    Revoked => &[401, 503],
    kind => calm(kind),
});

/// Clerk does not answer, and known sessions are within `stale_if_error`.
pub(super) const DOWN: Phase = phase(|kind| match kind {
    New | NewToken | UnknownKid => &[503],
    Bare => &[200, 503],
    Revoked => &[401, 503],
    kind => calm(kind),
});

/// Clerk does not answer, and nothing asked of it may be served any more.
pub(super) const PAST_STALE: Phase = phase(|kind| match kind {
    Known | Post | Template | Bare | New | NewToken | Revoked => &[503],
    kind => calm(kind),
});

/// Clerk wants to be left alone for a while, and sessions were asked for lately.
pub(super) const RATE_LIMITED: Phase = phase(|kind| match kind {
    New | NewToken => &[503],
    Revoked => &[401, 503],
    kind => calm(kind),
});

/// Clerk refuses the secret key: what was asked lately is served, and nothing else.
pub(super) const KEY_REFUSED: Phase = phase(|kind| match kind {
    New | NewToken => &[503],
    Known | Post | Template | Bare => &[200, 503],
    Revoked => &[401, 503],
    kind => calm(kind),
});

/// The same, later.
pub(super) const KEY_REFUSED_LONG: Phase = PAST_STALE;

/// The template that new sessions would need does not exist.
pub(super) const TEMPLATE_MISSING: Phase = phase(|kind| match kind {
    NewToken => &[500],
    kind => calm(kind),
});

/// Another key signs: tokens of the earlier one are refused as soon as that is known.
pub(super) const ROTATED: Phase = phase(|kind| match kind {
    Known | Post | Template | Networkless => &[401],
    kind => calm(kind),
});

/// Another key signs, and it cannot be fetched: nobody can tell whether its tokens are good.
pub(super) const ROTATED_UNSEEN: Phase = phase(|kind| match kind {
    New | NewToken | UnknownKid => &[503],
    kind => calm(kind),
});

/// Of the upstream's workers one has gone: what it may have seen and must not see twice is 502.
pub(super) const WORKER_GONE: Phase = phase(|kind| match kind {
    Post => &[200, 502],
    kind => calm(kind),
});

/// The whole upstream has gone.
pub(super) const UPSTREAM_GONE: Phase = phase(|kind| match calm(kind) {
    [200] => &[502],
    refused => refused,
});

/// The gateway itself has gone.
pub(super) const GATEWAY_GONE: Phase = Phase {
    allows: |_| &[],
    may_lose: Some(0),
};

/// The gateway's clock is so far behind that tokens minted now are of its future.
pub(super) const BEHIND: Phase = phase(|kind| match kind {
    New | NewToken => &[401],
    kind => calm(kind),
});

/// What was revoked is refused where that was done, and elsewhere perhaps.
pub(super) const TOLD_SOME: Phase = phase(|kind| match kind {
    Own => &[401],
    Others => &[200, 401],
    kind => calm(kind),
});

/// What was revoked is refused everywhere.
pub(super) const TOLD_ALL: Phase = phase(|kind| match kind {
    Own | Others => &[401],
    kind => calm(kind),
});

fn calm(kind: Kind) -> &'static [u16] {
    match kind {
        Public | Networkless | Known | Post | Template | Bare | New | NewToken | Own | Others => {
            &[200]
        }
        // It does not stay for the answer.
        Leaver => &[],
        SignedOut | Forged | Expired | Revoked | UnknownKid | Ended => &[401],
    }
}

impl Kind {
    /// Tells whether the answer needs nobody but the gateway and its upstream.
    pub(super) fn is_prompt(self) -> bool {
        match self {
            Public | SignedOut | Forged | Expired | Networkless | Ended | Own | Others => true,
            Known | Post | Template | Bare | Revoked | New | NewToken | UnknownKid | Leaver => {
                false
            }
        }
    }
}

impl Phase {
    /// The same while a replica is gone.
    pub(super) const fn without(self, replica: usize) -> Self {
        Self {
            may_lose: Some(replica),
            ..self
        }
    }

    pub(super) fn allows(&self, kind: Kind, status: u16) -> bool {
        (self.allows)(kind).contains(&status)
    }
}
