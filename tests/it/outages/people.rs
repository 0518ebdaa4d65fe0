//! Who uses the gateways of a row.

use clerk_gateway::sandbox::{Sandbox, SeedUser};

/// Someone with a session, and a token of it that outlives the test.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) session: String,
    pub(super) user: String,
    pub(super) token: String,
}

pub(super) struct People {
    pub(super) users: Vec<String>,
    pub(super) known: Vec<Person>,
    pub(super) with_template: Vec<Person>,
    pub(super) bare: Person,
    pub(super) revoked: Vec<Person>,
    /// Whom a replica refuses before the row begins.
    pub(super) ended: Person,
    /// Whom the row revokes, one on each replica.
    pub(super) ending: Vec<Person>,
    pub(super) forged: String,
    pub(super) expired: String,
}

impl People {
    pub(super) fn len(&self) -> usize {
        self.known.len() + self.with_template.len() + self.revoked.len() + 1
    }

    /// All who have a session of their own.
    pub(super) fn all(&self) -> impl Iterator<Item = &Person> {
        let groups = [
            &self.known,
            &self.with_template,
            &self.revoked,
            &self.ending,
        ];
        let groups = groups.into_iter().flatten();
        groups.chain([&self.bare, &self.ended])
    }

    pub(super) fn of(sandbox: &Sandbox, replicas: usize) -> Self {
        let users: Vec<_> = (0..5)
            .map(|_| sandbox.create_user(SeedUser::default()))
            .collect();
        let many = |count: usize| -> Vec<_> {
            let users = users.iter().cycle().take(count);
            users.map(|user| Person::of(sandbox, user)).collect()
        };
        let known = many(20);
        let revoked = many(5);
        for person in &revoked {
            sandbox.revoke(&person.session);
        }
        let expired = minted(sandbox, &known[0].session, -120, -60);
        let mut forged = known[0].token.clone();
        // Within the signature, and never the same.
        let at = forged.len() - 20;
        let other = if forged.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        forged.replace_range(at..=at, other);
        Self {
            with_template: many(10),
            bare: many(1).remove(0),
            ended: many(1).remove(0),
            ending: many(replicas),
            known,
            revoked,
            forged,
            expired,
            users,
        }
    }
}

impl Person {
    pub(super) fn of(sandbox: &Sandbox, user: &str) -> Self {
        let session = sandbox.create_session(user);
        Self {
            token: minted(sandbox, &session, -60, 3600),
            user: user.to_owned(),
            session,
        }
    }
}

/// A token from and until so many seconds from now.
fn minted(sandbox: &Sandbox, session: &str, from: i64, until: i64) -> String {
    sandbox.mint_with(session, |_, claims| {
        let now = claims["iat"].as_i64().unwrap();
        claims["iat"] = (now + from).into();
        claims["nbf"] = (now + from).into();
        claims["exp"] = (now + until).into();
    })
}
