//! The strict verifier of Clerk's session tokens: a pure function of token, keys, profile and time.
//!
//! The order is that of `verifyToken` in Clerk's SDK: form, class, algorithm, key, signature,
//! subject, audience, party, expiry, start, issue. Before the key only the header is judged, so
//! garbage costs no lookup; between signature and subject stands the issuer, which the SDK leaves
//! unchecked; lifetime, status and organization come last.
//!
//! Where the SDK is lenient this verifier is not, but for these, on purpose:
//!
//! - `typ`, `kid` (with a PEM), `cat`, `nbf` and `iat` may be absent;
//! - white space around the JSON of header and payload is allowed, as is any custom claim;
//! - fractions of a second in `exp`, `nbf` and `iat` are cut off;
//! - without authorized parties `azp` is not judged, without an audience `aud` is not.

use crate::{
    session::{Proof, Session, SessionData, SessionStatus},
    time::Timestamp,
    verify::{
        claims::{Claims, NumericDate},
        json::Member,
        jws::{Header, Jws},
        keys::{KeySet, VerifyingKey},
    },
};

pub use super::{
    jws::Malformed,
    profile::{Pending, ProfileError, TokenProfile},
};

const CAT_SESSION: &str = "cl_B7d4PD111AAA";
/// Some instances stamp every class with it, so that it tells nothing.
const CAT_ANY: &str = "cl_I7d4PD111III";

/// Why a session token was refused; the messages are for logs and hold nothing unverified.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// `alg` is not RS256.
    #[error("the algorithm is not RS256")]
    Algorithm,
    /// `aud` names none of the configured audiences.
    #[error("the audience is not one of those configured")]
    Audience,
    /// `azp` is not one of the authorized parties, or is missing.
    #[error("the authorized party {0:?} is not one of those configured")]
    AuthorizedParty(Option<String>),
    /// A claim is missing, of the wrong type or out of range.
    #[error("the claim {0} is missing or malformed")]
    Claim(&'static str),
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `iat` lies in the future.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// `iss` is another instance's.
    #[error("the issuer {0:?} is not this instance's")]
    Issuer(Option<String>),
    /// From issue to expiry is longer than the longest lifetime.
    #[error("the token lives longer than a session token may")]
    Lifetime,
    /// The text is not a token.
    #[error("the token is malformed")]
    Malformed(#[from] Malformed),
    /// There is no `kid`, and no key that answers without one.
    #[error("the token names no key")]
    MissingKeyId,
    /// `nbf` lies in the future.
    #[error("the token is not active yet")]
    NotActiveYet,
    /// The session has outstanding tasks, and the profile does not accept that.
    #[error("the session is pending")]
    Pending,
    /// The signature is not the key's.
    #[error("the signature is invalid")]
    Signature,
    /// `sts` is neither active nor pending.
    #[error("the session is not active")]
    Status,
    /// It is another kind of token: template, machine or OAuth.
    #[error("this is not a session token")]
    Type,
    /// No key has the token's `kid`; newer keys may.
    #[error("no key has the token's key id")]
    UnknownKey,
}

impl TokenError {
    /// Returns the reason as Clerk names it, or in the same form where Clerk has none.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Algorithm => "token-invalid-algorithm",
            Self::Audience | Self::Claim(_) => "token-verification-failed",
            Self::AuthorizedParty(_) => "token-invalid-authorized-parties",
            Self::Expired => "token-expired",
            Self::IssuedInFuture => "token-iat-in-the-future",
            Self::Issuer(_) => "token-invalid-issuer",
            Self::Lifetime => "token-lifetime-too-long",
            Self::Malformed(_) => "token-invalid",
            Self::MissingKeyId | Self::UnknownKey => "jwk-kid-mismatch",
            Self::NotActiveYet => "token-not-active-yet",
            Self::Pending => "session-pending",
            Self::Signature => "token-invalid-signature",
            Self::Status => "session-not-active",
            Self::Type => "token-type-mismatch",
        }
    }
}

/// Verifies a session token, without a network and without a clock.
///
/// The session is proven by the token alone ([`Proof::Networkless`]): that it was not revoked
/// since is for others to know.
///
/// ```
/// use clerk_gateway::{Timestamp, verify::{KeySet, TokenProfile, verify_session_token}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = KeySet::from_pem(
///     "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0/IzW7yWR7QkrmBL7jTKEn5u+qKhbwKfBstIs+bMY2Zkp18gnTxKLxoS2tFczGkPLPgizskuemMghRniWaoLcyehkd3qqGElvW/VDL5AaWTg0nLVkjRo9z+40RQzuVaE8AkAFmxZzow3x+VJYKdjykkJ0iT9wCS0DRTXu269V264Vf/3jvredZiKRkgwlL9xNAwxXFg0x/XFw005UWVRIkdgcKWTjpBP2dPwVZ4WWC+9aGVd+Gyn1o0CLelf4rEjGoXbAAEgAqeGUxrcIlbjXfbcmwIDAQAB",
/// )?;
/// let profile = TokenProfile::new("https://clerk.example.com")?;
/// let now = Timestamp::from_secs(1_700_000_000);
///
/// let refused = verify_session_token("not.a.token", &keys, &profile, now).unwrap_err();
/// assert_eq!(refused.slug(), "token-invalid");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// A [`TokenError`] for the first check that fails; on [`TokenError::UnknownKey`] newer keys may
/// help.
pub fn verify(
    token: &str,
    keys: &KeySet,
    profile: &TokenProfile,
    now: Timestamp,
) -> Result<Session, TokenError> {
    let jws = Jws::parse(token)?;
    check_class(&jws.header)?;
    let key = find_key(&jws.header, keys)?;
    if !key.is_signature_of(jws.signed, &jws.signature) {
        return Err(TokenError::Signature);
    }
    read(jws.payload, profile, now)
}

/// Judges the payload of a token whose signature has been verified.
fn read(payload: String, profile: &TokenProfile, now: Timestamp) -> Result<Session, TokenError> {
    let mut claims: Claims = parse(&payload)?;
    check_issuer(&claims, profile)?;
    let (user_id, id) = subject(&mut claims)?;
    check_audience(&claims, profile)?;
    let authorized_party = authorized_party(&mut claims, profile)?;
    let (issued_at, expires_at) = validity(&claims, profile, now)?;
    let status = status(&mut claims, profile)?;
    let actor = std::mem::take(&mut claims.act);
    let actor = actor.optional(TokenError::Claim("act"))?.flatten();
    let details = claims.into_details().map_err(TokenError::Claim)?;
    Ok(Session::new(SessionData {
        id: id.into(),
        user_id: user_id.into(),
        client_id: None,
        status,
        organization: details.organization,
        actor: actor.map(Box::new),
        factor_ages: details.factor_ages,
        plan: details.plan.map(Into::into),
        features: details.features,
        authorized_party: authorized_party.map(Into::into),
        issued_at,
        expires_at,
        proof: Proof::Networkless,
        claims: Some(payload.into()),
        #[cfg(feature = "client")]
        asked: None,
    }))
}

fn parse(payload: &str) -> Result<Claims, Malformed> {
    serde_json::from_str(payload).map_err(|_| Malformed::Json("payload"))
}

/// Every class of token is signed by the same key, so the header has to tell them apart.
fn check_class(header: &Header) -> Result<(), TokenError> {
    match &header.cat {
        Member::Absent => {}
        Member::Present(cat) if cat == CAT_SESSION || cat == CAT_ANY => {}
        Member::Present(_) | Member::Malformed => return Err(TokenError::Type),
    }
    match &header.typ {
        Member::Absent => {}
        Member::Present(typ) if typ == "JWT" => {}
        Member::Present(typ) if typ == "at+jwt" || typ == "application/at+jwt" => {
            return Err(TokenError::Type);
        }
        Member::Present(_) | Member::Malformed => return Err(Malformed::Parameter("typ").into()),
    }
    match &header.alg {
        Member::Present(alg) if alg == "RS256" => Ok(()),
        _ => Err(TokenError::Algorithm),
    }
}

fn find_key<'k>(header: &Header, keys: &'k KeySet) -> Result<&'k VerifyingKey, TokenError> {
    match &header.kid {
        Member::Present(kid) => keys.find(Some(kid)).ok_or(TokenError::UnknownKey),
        _ => keys.find(None).ok_or(TokenError::MissingKeyId),
    }
}

fn check_issuer(claims: &Claims, profile: &TokenProfile) -> Result<(), TokenError> {
    match &claims.iss {
        Member::Present(iss) if *iss == profile.issuer => Ok(()),
        Member::Present(iss) => Err(TokenError::Issuer(Some(iss.clone()))),
        Member::Absent | Member::Malformed => Err(TokenError::Issuer(None)),
    }
}

/// Returns the IDs of user and session; machines have no `user_`, template tokens no `sid`.
fn subject(claims: &mut Claims) -> Result<(String, String), TokenError> {
    let sub = std::mem::take(&mut claims.sub).ok();
    let sub = sub.ok_or(TokenError::Claim("sub"))?;
    if sub.starts_with("mch_") {
        return Err(TokenError::Type);
    }
    if !is_id(&sub, "user_") {
        return Err(TokenError::Claim("sub"));
    }
    let sid = std::mem::take(&mut claims.sid).optional(TokenError::Claim("sid"))?;
    let sid = sid.ok_or(TokenError::Type)?;
    if !is_id(&sid, "sess_") {
        return Err(TokenError::Claim("sid"));
    }
    Ok((sub, sid))
}

/// Tells whether `text` is `prefix` and some ASCII letters and digits: safe in paths and headers.
fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn check_audience(claims: &Claims, profile: &TokenProfile) -> Result<(), TokenError> {
    match &claims.aud {
        _ if profile.audience.is_empty() => Ok(()),
        Member::Present(audience) if audience.names_any(&profile.audience) => Ok(()),
        _ => Err(TokenError::Audience),
    }
}

fn authorized_party(
    claims: &mut Claims,
    profile: &TokenProfile,
) -> Result<Option<String>, TokenError> {
    let malformed = match profile.authorized_parties {
        Some(_) => TokenError::AuthorizedParty(None),
        None => TokenError::Claim("azp"),
    };
    let azp = std::mem::take(&mut claims.azp).optional(malformed)?;
    let fits = match (&profile.authorized_parties, &azp) {
        (None, _) => true,
        (Some(_), None) => profile.allow_missing_azp,
        (Some(parties), Some(azp)) => parties.contains(azp),
    };
    if fits {
        Ok(azp)
    } else {
        Err(TokenError::AuthorizedParty(azp))
    }
}

/// Returns when the token was issued and when it expires, if it lives now and not for too long.
fn validity(
    claims: &Claims,
    profile: &TokenProfile,
    now: Timestamp,
) -> Result<(Option<Timestamp>, Timestamp), TokenError> {
    let NumericDate(expires) = claims.exp.ok().ok_or(TokenError::Claim("exp"))?;
    if expires <= now.minus(profile.clock_skew) {
        return Err(TokenError::Expired);
    }
    let latest_start = now.plus(profile.clock_skew);
    let starts = past_epoch(claims.nbf, "nbf")?;
    if starts.is_some_and(|starts| starts > latest_start) {
        return Err(TokenError::NotActiveYet);
    }
    let issued = past_epoch(claims.iat, "iat")?;
    if issued.is_some_and(|issued| issued > latest_start) {
        return Err(TokenError::IssuedInFuture);
    }
    let begins = issued.or(starts).unwrap_or(now);
    if expires.since(begins) > profile.max_token_lifetime {
        return Err(TokenError::Lifetime);
    }
    Ok((issued, expires))
}

fn past_epoch(
    date: Member<NumericDate>,
    name: &'static str,
) -> Result<Option<Timestamp>, TokenError> {
    match date.optional(TokenError::Claim(name))? {
        Some(NumericDate(at)) if at.as_millis() <= 0 => Err(TokenError::Claim(name)),
        date => Ok(date.map(|NumericDate(at)| at)),
    }
}

fn status(claims: &mut Claims, profile: &TokenProfile) -> Result<SessionStatus, TokenError> {
    let sts = std::mem::take(&mut claims.sts).optional(TokenError::Claim("sts"))?;
    match sts.flatten().as_deref() {
        None | Some("active") => Ok(SessionStatus::Active),
        Some("pending") if profile.pending == Pending::Accept => Ok(SessionStatus::Pending),
        Some("pending") => Err(TokenError::Pending),
        Some(_) => Err(TokenError::Status),
    }
}
