//! What is remembered, for whom and how long; and a Clerk that misbehaves.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clerk_gateway::{CacheSettings, SessionLayer, sandbox::SeedOrganization};
use serde_json::json;

use super::gate::{Gate, request};
use crate::{
    support::{process::status_of, scene::Setting, upstream::Upstream, *},
    webhooks::{Delivery, Hooked},
};

#[tokio::test(flavor = "multi_thread")]
async fn c01_what_one_instance_proved_another_does_not_believe() {
    let (ours, other) = (Stage::start().await, Gate::start().await);
    let layer = SessionLayer::required(ours.clerk());
    let theirs =
        SessionLayer::required(ours.builder().issuer("https://other.test").build().unwrap());
    let token = ours.token();
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    assert_eq!(verdict(&theirs, bearer(&token)).await.0, 401);
    other.refuses(
        &[401],
        &[request(
            "GET",
            "/app/x",
            &[&format!("Authorization: Bearer {token}")],
        )],
    );
}

#[tokio::test]
async fn c02_a_shorter_ttl_is_not_lengthened_by_another_layer() {
    let stage = Stage::start().await;
    let clerk = stage.clerk();
    let layer = |ttl| {
        let builder = SessionLayer::builder(clerk.clone());
        builder.cache(cache(ttl, 0)).build().unwrap()
    };
    let (long, short) = (layer(600), layer(10));
    let token = stage.sandbox.session_token().to_owned();
    assert_eq!(verdict(&long, bearer(&token)).await, passed());
    assert_eq!(verdict(&short, bearer(&token)).await, passed());
    stage.sandbox.revoke(stage.sandbox.session_id());
    stage.pass(11);
    assert_eq!(verdict(&long, bearer(&token)).await, passed());
    assert_eq!(
        verdict(&short, bearer(&token)).await,
        refused(401, "session-revoked")
    );
}

#[tokio::test]
async fn c04_trouble_of_clerks_is_not_remembered_as_a_no() {
    for status in [500, 502, 503, 429] {
        let stage = Stage::start().await;
        let layer = SessionLayer::required(stage.builder().cache(cache(15, 0)).build().unwrap());
        let token = stage.token();
        let faults = stage.sandbox.faults();
        faults.only(&["GetSession"]);
        match status {
            429 => faults.rate_limited(Some(Duration::from_secs(60))),
            status => faults.errors(1.0, status),
        }
        let refused = call(&layer, bearer(&token)).await;
        assert_eq!(refused.status(), 503, "{status}");
        assert!(refused.headers().contains_key("retry-after"), "{status}");
        faults.clear();
        stage.pass(61);
        let fresh = stage.token();
        assert_eq!(verdict(&layer, bearer(&fresh)).await, passed(), "{status}");
    }
}

#[tokio::test]
async fn c05_a_flood_of_unknown_sessions_pushes_no_known_one_out() {
    let stage = Stage::start().await;
    let settings = CacheSettings {
        sessions: 100,
        session_ttl: Duration::from_secs(600),
        ..CacheSettings::default()
    };
    let layer = SessionLayer::builder(stage.builder().cache(settings).build().unwrap())
        .session_id_header("x-session-id")
        .session_id_callers(["127.0.0.1/32"])
        .peer(|_| "127.0.0.1".parse().ok())
        .build()
        .unwrap();
    let known = stage.sandbox.session_id().to_owned();
    for _ in 0..50 {
        assert_eq!(
            verdict(&layer, with("x-session-id", &known)).await,
            passed()
        );
    }
    for number in 0..500 {
        let unknown = format!("sess_unknown{number}");
        // From some number on, our own budget of calls says no.
        let status = verdict(&layer, with("x-session-id", &unknown)).await.0;
        assert!([401, 503].contains(&status.as_u16()), "{status}");
        if number % 10 == 0 {
            assert_eq!(
                verdict(&layer, with("x-session-id", &known)).await,
                passed()
            );
        }
    }
    let asked = stage.lookups();
    assert_eq!(
        verdict(&layer, with("x-session-id", &known)).await,
        passed()
    );
    assert_eq!(stage.lookups(), asked, "the known session was pushed out");
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_a_revocation_is_denied_within_the_ttl_and_at_once_where_a_webhook_tells_of_it() {
    let stage = Stage::start().await;
    let layer = SessionLayer::required(stage.builder().cache(cache(15, 300)).build().unwrap());
    let token = stage.sandbox.session_token().to_owned();
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    stage.sandbox.revoke(stage.sandbox.session_id());
    stage.pass(15);
    let asked = verdict(&layer, bearer(&token)).await;
    assert_eq!(asked, refused(401, "session-revoked"));

    let told = Hooked::start().await;
    let (session, token) = (told.scene.sandbox.session_id(), told.scene.bearer());
    for target in ["/plain/x", "/token/x"] {
        assert_eq!(status_of(&told.scene.get(target, &[&token])), 200);
    }
    told.deliver(&Delivery::of("session.revoked", json!({"id": session})));
    for target in ["/plain/x", "/token/x"] {
        let answer = told.scene.get(target, &[&token]);
        assert_eq!(status_of(&answer), 401, "{answer}");
        assert!(answer.contains("session-revoked"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c13_keys_come_from_one_place_in_a_sane_size_or_not_at_all() {
    let large = "x".repeat(8 * 1024 * 1024);
    let many = format!(
        r#"{{"keys":[{}]}}"#,
        vec![r#"{"kty":"RSA"}"#; 100_000].join(",")
    );
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n",
        elsewhere.local_addr().unwrap()
    );
    let ok = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let zipped =
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x1b\x08\x00"
            .to_owned();
    for answer in [
        redirect,
        ok(&large),
        ok("no json"),
        ok(&many),
        ok("{\"keys\":7}"),
        zipped,
    ] {
        let url = answering(answer.into_bytes());
        let clerk = format!("jwks_url = \"{url}\"\n[session]\nverify = \"networkless\"");
        let setting = Setting {
            clerk: &clerk,
            routes: super::gate::NETWORKLESS_ROUTES,
            ..Setting::default()
        };
        let gate = Gate::set(Upstream::start(), setting).await;
        let line = gate.member();
        gate.refuses(&[503], &[request("GET", "/app/x", &[&line])]);
    }
    elsewhere.set_nonblocking(true).unwrap();
    assert!(elsewhere.accept().is_err(), "the redirect was followed");
}

/// A server that answers every connection alike.
fn answering(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
        }
    });
    url
}

#[tokio::test]
async fn c14_another_organization_gets_a_token_of_its_own() {
    let stage = Stage::start().await;
    let clerk = stage.clerk();
    let layer = SessionLayer::builder(clerk)
        .template_token("hasura")
        .build()
        .unwrap();
    let minted = async |credential: String| {
        let token = seen(&layer, bearer(&credential)).await.token.unwrap();
        let payload = token.as_str().split('.').nth(1).unwrap().to_owned();
        String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    };
    let first = minted(stage.token()).await;
    let id = stage.sandbox.session_id();
    let other = stage.sandbox.create_organization(SeedOrganization {
        name: "Other".to_owned(),
        ..SeedOrganization::default()
    });
    stage
        .sandbox
        .create_membership(clerk_gateway::sandbox::SeedMembership {
            user: stage.sandbox.user_id().to_owned(),
            organization: other.clone(),
            ..Default::default()
        });
    stage.sandbox.set_active_organization(id, Some(&other));
    let second = minted(stage.token()).await;
    assert!(
        !first.contains(&other) && second.contains(&other),
        "{first} {second}"
    );
    assert_eq!(stage.mints(), 2);
}

#[tokio::test]
async fn c18_the_first_callers_patience_is_not_the_others() {
    let stage = Stage::start().await;
    let layer = Arc::new(SessionLayer::required(stage.clerk()));
    let token = stage.token();
    stage.sandbox.faults().latency(Duration::from_millis(400));
    let ask = || {
        let (layer, token) = (Arc::clone(&layer), token.clone());
        tokio::spawn(async move { verdict(&layer, bearer(&token)).await })
    };
    let leader = tokio::time::timeout(Duration::from_millis(50), ask()).await;
    assert!(leader.is_err());
    let others: Vec<_> = (0..99).map(|_| ask()).collect();
    for other in others {
        assert_eq!(other.await.unwrap(), passed());
    }
    assert_eq!(stage.lookups(), 1);
}
