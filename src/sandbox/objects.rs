//! Users, organizations, memberships and templates, and how the Backend API shows them.

use serde_json::{Map, Value, json};

use super::seed::{SeedMembership, SeedOrganization, SeedTemplate, SeedUser};

/// A user.
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) about: SeedUser,
    pub(crate) banned: bool,
    pub(crate) locked: bool,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

/// An organization.
pub(crate) struct Organization {
    pub(crate) id: String,
    pub(crate) slug: String,
    pub(crate) about: SeedOrganization,
    pub(crate) created_by: Option<String>,
    pub(crate) created_at: i64,
}

/// A membership; `about` holds IDs, never slugs.
pub(crate) struct Membership {
    pub(crate) id: String,
    pub(crate) about: SeedMembership,
    pub(crate) created_at: i64,
}

/// A JWT template.
pub(crate) struct Template {
    pub(crate) id: String,
    pub(crate) about: SeedTemplate,
    pub(crate) custom_key: Option<CustomKey>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

/// A template's own signing key, which the JWKS does not show.
#[derive(Clone)]
pub(crate) struct CustomKey {
    pub(crate) algorithm: aws_lc_rs::hmac::Algorithm,
    pub(crate) name: String,
    pub(crate) secret: String,
}

/// Seconds that a template token lives unless told otherwise.
pub(crate) const DEFAULT_LIFETIME: u64 = 60;
/// Seconds that a template token's `nbf` lies before its `iat` unless told otherwise.
pub(crate) const DEFAULT_SKEW: u64 = 5;

impl User {
    pub(crate) fn full_name(&self) -> Option<String> {
        let names = [&self.about.first_name, &self.about.last_name];
        let names: Vec<&str> = names.iter().filter_map(|name| name.as_deref()).collect();
        (!names.is_empty()).then(|| names.join(" "))
    }

    pub(crate) fn image_url(&self) -> String {
        format!("https://img.clerk.com/{}", self.id)
    }

    /// Returns the Backend API's user object; nothing here signs in, so much is constant.
    pub(crate) fn json(&self) -> Value {
        let about = &self.about;
        let identifiers = |texts: &[String], kind: Identifier| -> Vec<Value> {
            let numbered = texts.iter().enumerate();
            numbered
                .map(|(place, text)| {
                    kind.json(&self.identifier_id(kind, place), text, self.created_at)
                })
                .collect()
        };
        let primary = |texts: &[String], kind: Identifier| {
            (!texts.is_empty()).then(|| self.identifier_id(kind, 0))
        };
        json!({
            "object": "user",
            "id": self.id,
            "external_id": about.external_id,
            "username": about.username,
            "first_name": about.first_name,
            "last_name": about.last_name,
            "locale": null,
            "has_image": false,
            "image_url": self.image_url(),
            "profile_image_url": self.image_url(),
            "primary_email_address_id": primary(&about.email_address, Identifier::Email),
            "primary_phone_number_id": primary(&about.phone_number, Identifier::Phone),
            "primary_web3_wallet_id": null,
            "email_addresses": identifiers(&about.email_address, Identifier::Email),
            "phone_numbers": identifiers(&about.phone_number, Identifier::Phone),
            "web3_wallets": [],
            "passkeys": [],
            "external_accounts": [],
            "saml_accounts": [],
            "enterprise_accounts": [],
            "public_metadata": about.public_metadata,
            "private_metadata": about.private_metadata,
            "unsafe_metadata": about.unsafe_metadata,
            "password_enabled": false,
            "two_factor_enabled": false,
            "totp_enabled": false,
            "backup_code_enabled": false,
            "mfa_enabled_at": null,
            "mfa_disabled_at": null,
            "banned": self.banned,
            "locked": self.locked,
            "lockout_expires_in_seconds": null,
            "verification_attempts_remaining": null,
            "delete_self_enabled": true,
            "create_organization_enabled": true,
            "create_organizations_limit": null,
            "legal_accepted_at": null,
            "last_sign_in_at": self.created_at,
            "last_active_at": self.created_at,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        })
    }

    fn identifier_id(&self, kind: Identifier, place: usize) -> String {
        let own = self.id.strip_prefix("user_").unwrap_or(&self.id);
        format!("{}_{own}{place}", kind.prefix())
    }
}

/// A kind of identifier that a user has several of.
#[derive(Clone, Copy)]
enum Identifier {
    Email,
    Phone,
}

impl Identifier {
    fn prefix(self) -> &'static str {
        match self {
            Self::Email => "idn",
            Self::Phone => "idnp",
        }
    }

    fn json(self, id: &str, text: &str, created_at: i64) -> Value {
        let mut json = json!({
            "id": id,
            "reserved": false,
            "verification": {
                "object": "verification_admin",
                "status": "verified",
                "strategy": "admin",
                "attempts": null,
                "expire_at": null,
            },
            "linked_to": [],
            "created_at": created_at,
            "updated_at": created_at,
        });
        match self {
            Self::Email => {
                json["object"] = "email_address".into();
                json["email_address"] = text.into();
                json["matches_sso_connection"] = false.into();
            }
            Self::Phone => {
                json["object"] = "phone_number".into();
                json["phone_number"] = text.into();
                json["reserved_for_second_factor"] = false.into();
                json["default_second_factor"] = false.into();
            }
        }
        json
    }
}

impl Organization {
    pub(crate) fn image_url(&self) -> String {
        format!("https://img.clerk.com/{}", self.id)
    }

    pub(crate) fn json(&self) -> Value {
        let mut json = json!({
            "object": "organization",
            "id": self.id,
            "name": self.about.name,
            "slug": self.slug,
            "image_url": self.image_url(),
            "has_image": false,
            "max_allowed_memberships": 100,
            "admin_delete_enabled": true,
            "public_metadata": self.about.public_metadata,
            "private_metadata": self.about.private_metadata,
            "created_at": self.created_at,
            "updated_at": self.created_at,
        });
        if let Some(user) = &self.created_by {
            json["created_by"] = user.as_str().into();
        }
        json
    }
}

impl Membership {
    pub(crate) fn role(&self) -> &str {
        self.about.role.as_deref().unwrap_or("org:member")
    }

    pub(crate) fn json(&self, organization: &Organization, user: &User) -> Value {
        json!({
            "object": "organization_membership",
            "id": self.id,
            "role": self.role(),
            "role_name": self.role().trim_start_matches("org:"),
            "permissions": self.about.permissions,
            "public_metadata": self.about.public_metadata,
            "private_metadata": {},
            "organization": organization.json(),
            "public_user_data": {
                "user_id": user.id,
                "first_name": user.about.first_name,
                "last_name": user.about.last_name,
                "username": user.about.username,
                "identifier": user.about.email_address.first(),
                "image_url": user.image_url(),
                "profile_image_url": user.image_url(),
                "has_image": false,
            },
            "created_at": self.created_at,
            "updated_at": self.created_at,
        })
    }
}

impl Template {
    pub(crate) fn lifetime(&self) -> u64 {
        self.about.lifetime.unwrap_or(DEFAULT_LIFETIME)
    }

    pub(crate) fn skew(&self) -> u64 {
        self.about.allowed_clock_skew.unwrap_or(DEFAULT_SKEW)
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "object": "jwt_template",
            "id": self.id,
            "name": self.about.name,
            "claims": self.about.claims,
            "lifetime": self.lifetime(),
            "allowed_clock_skew": self.skew(),
            "custom_signing_key": self.custom_key.is_some(),
            "signing_algorithm": self.custom_key.as_ref().map_or("RS256", |key| &key.name),
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        })
    }
}

/// Returns the templates that every sandbox has.
pub(crate) fn built_in_templates() -> Vec<SeedTemplate> {
    // The empty string and not null: Hasura takes string values only.
    let hasura = json!({"https://hasura.io/jwt/claims": {
        "x-hasura-allowed-roles": ["user"],
        "x-hasura-default-role": "user",
        "x-hasura-user-id": "{{user.id}}",
        "x-hasura-org-id": "{{org.id || ''}}",
    }});
    let supabase = json!({
        "aud": "authenticated",
        "role": "authenticated",
        "email": "{{user.primary_email_address}}",
        "app_metadata": {"org_id": "{{org.id}}", "org_role": "{{org.role}}"},
        "user_metadata": {"full_name": "{{user.full_name}}"},
    });
    let postgrest = json!({
        "role": "web_user",
        "email": "{{user.primary_email_address}}",
        "org_id": "{{org.id}}",
    });
    [
        ("hasura", hasura),
        ("supabase", supabase),
        ("postgrest", postgrest),
    ]
    .into_iter()
    .map(|(name, claims)| SeedTemplate {
        name: name.to_owned(),
        claims: into_object(claims),
        ..SeedTemplate::default()
    })
    .collect()
}

fn into_object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
