//! The claims of session tokens, v1 and v2, and of template tokens.

use serde_json::{Map, Value, json};

use super::{
    objects::{Membership, Organization, User},
    permissions::{custom_permissions, encode_permissions},
    shortcodes,
    store::Store,
};
use crate::{clerk::model::SessionObject, time::Timestamp};

/// The class of session tokens, in the header's `cat`.
const SESSION_CATEGORY: &str = "cl_B7d4PD111AAA";
/// The class of template tokens.
const TEMPLATE_CATEGORY: &str = "cl_B7d4PD222AAA";
/// Seconds that a session token's `nbf` lies before its `iat`.
const SESSION_NBF_SKEW: i64 = 10;

/// Which claims a session token has.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum TokenVersion {
    V1,
    V2,
}

/// What a mint is asked for.
pub(crate) struct Mint<'a> {
    pub(crate) issuer: &'a str,
    /// The `Origin` of a Frontend API call; Backend API calls have none.
    pub(crate) origin: Option<&'a str>,
    /// Seconds the token lives.
    pub(crate) lifetime: u64,
    pub(crate) now: Timestamp,
}

/// A session and all that tokens say about it.
pub(crate) struct Facts<'a> {
    session: &'a SessionObject,
    user: &'a User,
    organization: Option<(&'a Organization, &'a Membership)>,
    memberships: Vec<&'a Membership>,
    custom: &'a Map<String, Value>,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(store: &'a Store, session_id: &str) -> Option<Self> {
        let session = store.sessions.get(session_id)?;
        let user = store.users.get(&session.user_id)?;
        let organization = session
            .last_active_organization_id
            .as_deref()
            .and_then(|id| {
                let membership = store.membership(&user.id, id)?;
                Some((store.organizations.get(id)?, membership))
            });
        Some(Self {
            session,
            user,
            organization,
            memberships: store.memberships_of(&user.id),
            custom: &store.session_claims,
        })
    }

    /// Returns a session token's claims; `jti` is for v2 alone.
    pub(crate) fn session_claims(
        &self,
        mint: &Mint<'_>,
        version: TokenVersion,
        jti: String,
    ) -> Value {
        let mut claims = shortcodes::fill(self.custom, &self.shortcodes());
        claims.extend(registered(mint, &self.user.id, SESSION_NBF_SKEW));
        let minutes = mint
            .now
            .since(Timestamp::from_millis(self.session.created_at))
            .as_secs()
            / 60;
        claims.insert("sid".into(), self.session.id.as_str().into());
        claims.insert("fva".into(), json!([minutes, -1]));
        if let Some(actor) = &self.session.actor {
            claims.insert("act".into(), actor.clone());
        }
        match version {
            TokenVersion::V1 => claims.extend(self.organization_v1()),
            TokenVersion::V2 => {
                claims.insert("v".into(), 2.into());
                claims.insert("jti".into(), jti.into());
                claims.insert("sts".into(), self.session.status.as_str().into());
                claims.extend(self.organization_v2());
            }
        }
        Value::Object(claims)
    }

    /// Returns a template token's claims; the registered ones cannot be overridden.
    pub(crate) fn template_claims(
        &self,
        mint: &Mint<'_>,
        template: &Map<String, Value>,
        skew: u64,
        jti: String,
    ) -> Value {
        let mut claims = shortcodes::fill(template, &self.shortcodes());
        claims.extend(registered(
            mint,
            &self.user.id,
            i64::try_from(skew).unwrap_or(0),
        ));
        claims.insert("jti".into(), jti.into());
        Value::Object(claims)
    }

    fn organization_v1(&self) -> Map<String, Value> {
        let Some((organization, membership)) = self.organization else {
            return Map::new();
        };
        let permissions: Vec<&str> = custom_permissions(membership)
            .map(|(full, _, _)| full)
            .collect();
        object([
            ("org_id", organization.id.as_str().into()),
            ("org_slug", organization.slug.as_str().into()),
            ("org_role", membership.role().into()),
            ("org_permissions", permissions.into()),
        ])
    }

    fn organization_v2(&self) -> Map<String, Value> {
        let about = &self.user.about;
        let mut features: Vec<String> = Vec::new();
        let mut claims = Map::new();
        let mut plan = about.plan.as_ref().map(|plan| format!("u:{plan}"));
        if let Some((organization, membership)) = self.organization {
            let encoded = encode_permissions(organization, membership);
            features.extend(
                encoded
                    .features
                    .iter()
                    .map(|feature| format!("o:{feature}")),
            );
            claims.insert("o".into(), encoded.claim(organization, membership));
            plan = organization
                .about
                .plan
                .as_ref()
                .map(|plan| format!("o:{plan}"));
        }
        features.extend(about.features.iter().map(|feature| format!("u:{feature}")));
        if let Some(plan) = plan {
            claims.insert("pla".into(), plan.into());
        }
        if !features.is_empty() {
            claims.insert("fea".into(), features.join(",").into());
        }
        claims
    }

    fn shortcodes(&self) -> Value {
        let about = &self.user.about;
        let organizations: Map<String, Value> = self
            .memberships
            .iter()
            .map(|membership| {
                (
                    membership.about.organization.clone(),
                    membership.role().into(),
                )
            })
            .collect();
        json!({
            "user": {
                "id": self.user.id,
                "external_id": about.external_id,
                "first_name": about.first_name,
                "last_name": about.last_name,
                "full_name": self.user.full_name(),
                "username": about.username,
                "created_at": self.user.created_at,
                "updated_at": self.user.updated_at,
                "primary_email_address": about.email_address.first(),
                "primary_phone_number": about.phone_number.first(),
                "primary_web3_wallet": null,
                "email_verified": !about.email_address.is_empty(),
                "phone_number_verified": !about.phone_number.is_empty(),
                "image_url": self.user.image_url(),
                "has_image": false,
                "two_factor_enabled": false,
                "organizations": organizations,
                "public_metadata": about.public_metadata,
                "unsafe_metadata": about.unsafe_metadata,
            },
            "org": self.organization.map(|(organization, membership)| json!({
                "id": organization.id,
                "role": membership.role(),
                "name": organization.about.name,
                "slug": organization.slug,
                "public_metadata": organization.about.public_metadata,
                "image_url": organization.image_url(),
                "has_image": false,
            })),
            "org_membership": self.organization.map(|(_, membership)| json!({
                "public_metadata": membership.about.public_metadata,
            })),
            "session": {"actor": self.session.actor},
        })
    }
}

pub(crate) fn session_header(kid: &str) -> Value {
    json!({"alg": "RS256", "cat": SESSION_CATEGORY, "kid": kid, "typ": "JWT"})
}

pub(crate) fn template_header(kid: Option<&str>, algorithm: &str) -> Value {
    let mut header = json!({"alg": algorithm, "cat": TEMPLATE_CATEGORY, "typ": "JWT"});
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    header
}

fn registered(mint: &Mint<'_>, subject: &str, nbf_skew: i64) -> Map<String, Value> {
    let issued_at = mint.now.as_secs();
    let lifetime = i64::try_from(mint.lifetime).unwrap_or(i64::MAX);
    let mut claims = object([
        ("iss", mint.issuer.into()),
        ("sub", subject.into()),
        ("iat", issued_at.into()),
        ("nbf", (issued_at - nbf_skew).into()),
        ("exp", issued_at.saturating_add(lifetime).into()),
    ]);
    if let Some(origin) = mint.origin {
        claims.insert("azp".into(), origin.into());
    }
    claims
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
