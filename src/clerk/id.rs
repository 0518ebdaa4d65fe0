//! Clerk's IDs and template names: texts proven unable to leave their segment of a path.

/// The longest ID or name taken, in characters; Clerk's own have some 32.
pub const MAX_LEN: usize = 128;

/// Why a text is not the ID or name it should be; the text itself is left out, for it may be hostile.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// Not a client ID.
    #[error(
        "a client ID must be client_ and ASCII letters or digits, {MAX_LEN} characters at most"
    )]
    Client,
    /// Not an organization ID.
    #[error(
        "an organization ID must be org_ and ASCII letters or digits, {MAX_LEN} characters at most"
    )]
    Organization,
    /// Not a session ID.
    #[error("a session ID must be sess_ and ASCII letters or digits, {MAX_LEN} characters at most")]
    Session,
    /// Not a JWT template's name.
    #[error(
        "a template name must be ASCII letters, digits, _, - or . (not dots alone), {MAX_LEN} characters at most"
    )]
    Template,
    /// Not a user ID.
    #[error("a user ID must be user_ and ASCII letters or digits, {MAX_LEN} characters at most")]
    User,
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr, $error:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub struct $name<'a>(&'a str);

        impl<'a> $name<'a> {
            /// Checks a text.
            ///
            /// # Errors
            ///
            #[doc = concat!("[`InvalidId::", stringify!($error), "`] where it has not this form.")]
            pub fn parse(text: &'a str) -> Result<Self, InvalidId> {
                if text.len() <= MAX_LEN && $check(text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId::$error)
                }
            }

            /// Returns the text.
            pub const fn as_str(self) -> &'a str {
                self.0
            }
        }
    };
}

checked_text! {
    /// A client's ID: `client_` and 1 or more ASCII letters or digits.
    ClientId, |text| is_id(text, "client_"), Client
}
checked_text! {
    /// An organization's ID: `org_` and 1 or more ASCII letters or digits.
    OrganizationId, |text| is_id(text, "org_"), Organization
}
checked_text! {
    /// A session's ID: `sess_` and 1 or more ASCII letters or digits.
    SessionId, |text| is_id(text, "sess_"), Session
}
checked_text! {
    /// A JWT template's name: 1 or more of ASCII letters, digits, `_`, `-` and `.`, not dots alone.
    TemplateName, is_template_name, Template
}
checked_text! {
    /// A user's ID: `user_` and 1 or more ASCII letters or digits.
    UserId, |text| is_id(text, "user_"), User
}

fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn is_template_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    text.bytes().all(allowed) && text.bytes().any(|b| b != b'.')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOSTILE: [&str; 16] = [
        "", ".", "..", "...", "../x", "a/b", "a%2fb", "%2e%2e", "a?x=1", "a#b", "a b", "a\\b",
        "a;b", "a\0", "a\r\n", "é",
    ];

    #[test]
    fn hostile_texts_are_no_ids_and_no_names() {
        for text in HOSTILE {
            assert!(TemplateName::parse(text).is_err(), "{text:?}");
            assert!(
                SessionId::parse(&format!("sess_{text}")).is_err(),
                "{text:?}"
            );
            assert!(UserId::parse(&format!("user_{text}")).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_id_has_its_own_prefix() {
        assert!(SessionId::parse("sess_2g7np7Hrk0SN6kj5EDMLDaKNL0S").is_ok());
        assert_eq!(SessionId::parse("user_2g7np7"), Err(InvalidId::Session));
        assert_eq!(SessionId::parse(" sess_2g7np7"), Err(InvalidId::Session));
        assert!(ClientId::parse("client_1").is_ok());
        assert!(OrganizationId::parse("org_1").is_ok());
    }

    #[test]
    fn an_overlong_id_is_refused() {
        let longest = format!("sess_{}", "a".repeat(MAX_LEN - 5));
        assert!(SessionId::parse(&longest).is_ok());
        assert!(SessionId::parse(&format!("{longest}a")).is_err());
        assert!(TemplateName::parse(&"a".repeat(MAX_LEN + 1)).is_err());
    }

    #[test]
    fn usual_template_names_are_taken() {
        for name in ["hasura", "custom_hasura", "post-grest", "v1.2", "A"] {
            assert_eq!(TemplateName::parse(name).unwrap().as_str(), name);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_one_harmless_segment(text in "(sess_)?[A-Za-z0-9_./%?# -]{0,8}") {
            let segments = [
                SessionId::parse(&text).map(SessionId::as_str),
                TemplateName::parse(&text).map(TemplateName::as_str),
            ];
            for segment in segments.into_iter().flatten() {
                let url = http::Uri::try_from(format!("https://h/a/{segment}/b")).unwrap();
                prop_assert_eq!(url.path(), format!("/a/{segment}/b"));
                prop_assert!(url.query().is_none() && segment != "." && segment != "..");
            }
        }

        #[test]
        fn letters_and_digits_after_the_prefix_are_taken(rest in "[A-Za-z0-9]{1,100}") {
            let id = format!("sess_{rest}");
            prop_assert!(SessionId::parse(&id).is_ok());
        }
    }
}
