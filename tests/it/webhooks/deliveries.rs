//! Which deliveries are taken, and how often.

use serde_json::json;

use super::*;
use crate::{
    cli_check::Run,
    config::{check, check_env},
};

#[tokio::test(flavor = "multi_thread")]
async fn only_what_one_of_the_secrets_signed_lately_is_taken() {
    let hooked = Hooked::start().await;
    let sandbox = &hooked.scene.sandbox;
    let event = Delivery::of("session.revoked", json!({"id": sandbox.session_id()}));
    let signed = event.signature();
    let cases: [(&str, Delivery); 11] = [
        (
            "webhook-signature-invalid",
            Delivery {
                key: OTHER_KEY,
                ..event.clone()
            },
        ),
        (
            "webhook-signature-invalid",
            Delivery {
                body: event.body.replace("revoked", "REVOKED"),
                signature: Some(signed.clone()),
                ..event.clone()
            },
        ),
        (
            "webhook-signature-invalid",
            Delivery {
                body: format!("{} ", event.body),
                signature: Some(signed.clone()),
                ..event.clone()
            },
        ),
        (
            "webhook-signature-invalid",
            Delivery {
                id: "msg_another".to_owned(),
                signature: Some(signed.clone()),
                ..event.clone()
            },
        ),
        (
            "webhook-signature-invalid",
            Delivery {
                signature: Some("v1,".to_owned()),
                ..event.clone()
            },
        ),
        (
            "webhook-signature-invalid",
            Delivery {
                signature: Some(signed.replace("v1,", "v1a,")),
                ..event.clone()
            },
        ),
        (
            "webhook-timestamp-out-of-range",
            Delivery {
                seconds: (now() - 310).to_string(),
                ..event.clone()
            },
        ),
        (
            "webhook-timestamp-out-of-range",
            Delivery {
                seconds: (now() + 310).to_string(),
                ..event.clone()
            },
        ),
        (
            "webhook-signature-malformed",
            Delivery {
                seconds: format!("{}.5", now()),
                ..event.clone()
            },
        ),
        (
            "webhook-signature-malformed",
            Delivery {
                id: "msg.1".to_owned(),
                ..event.clone()
            },
        ),
        (
            "webhook-signature-missing",
            Delivery {
                prefix: "x-",
                ..event.clone()
            },
        ),
    ];
    for (code, delivery) in cases {
        hooked.refuses(&delivery, 400, code);
    }
    hooked.passes(sandbox.session_token());
    assert_eq!(hooked.counted("none", "webhook-signature-invalid"), 6);
    for good in [
        Delivery {
            seconds: (now() - 290).to_string(),
            ..event.clone()
        },
        Delivery {
            signature: Some(format!("v1,AAAA v1a,b {signed}")),
            ..event.clone()
        },
        Delivery {
            prefix: "webhook-",
            ..event.clone()
        },
    ] {
        hooked.deliver(&good);
    }
    hooked.refuses_token(sandbox.session_token(), "session-revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_has_its_effect_once_and_is_remembered_only_after_it() {
    let hooked = Hooked::start().await;
    let sandbox = &hooked.scene.sandbox;
    let session = sandbox.create_session(sandbox.user_id());
    let token = sandbox.mint(&session);
    // Nothing has come of this one, so that its ID is not taken.
    let broken = Delivery::with_body("{\"type\":\"session.ended\"}".to_owned());
    hooked.refuses(&broken, 400, "webhook-event-malformed");
    let first = Delivery {
        id: broken.id.clone(),
        ..Delivery::of("session.created", json!({"id": session}))
    };
    hooked.deliver(&first);
    assert_eq!(hooked.counted("other", "ignored"), 1);
    let again = Delivery {
        id: broken.id,
        ..Delivery::of("session.ended", json!({"id": session}))
    };
    hooked.deliver(&again);
    hooked.deliver(&again);
    assert_eq!(hooked.counted("any", "repeated"), 2);
    hooked.passes(&token);
    hooked.deliver(&Delivery::of("session.ended", json!({"id": session})));
    hooked.refuses_token(&token, "session-ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_events_are_taken_counted_and_have_no_effect() {
    let hooked = Hooked::start().await;
    let sandbox = &hooked.scene.sandbox;
    for (kind, event, data) in [
        (
            "session.created",
            "other",
            json!({"id": sandbox.session_id()}),
        ),
        ("email.created", "other", json!({"anything": [1, 2]})),
        (
            "user.updated",
            "user.updated",
            json!({"id": sandbox.user_id(), "banned": false}),
        ),
    ] {
        let before = hooked.counted(event, "ignored");
        hooked.deliver(&Delivery::of(kind, data));
        assert_eq!(hooked.counted(event, "ignored"), before + 1, "{kind}");
    }
    hooked.passes(sandbox.session_token());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_is_the_gateways_own_in_any_spelling_and_takes_posts_alone() {
    let hooked = Hooked::start().await;
    let sandbox = &hooked.scene.sandbox;
    let event = Delivery::of("session.revoked", json!({"id": sandbox.session_id()}));
    let address = hooked.scene.address;
    let before = hooked.scene.upstream.hits();
    for path in [PATH, "/-/webhooks/%63lerk", "/%2D/webhooks/clerk?x=1"] {
        let bearer = hooked.scene.bearer();
        let answer = get(address, path, &[&bearer]);
        assert_eq!(status_of(&answer), 405, "{answer}");
        assert!(
            answer.to_lowercase().contains("\r\nallow: post\r\n"),
            "{answer}"
        );
        let unsigned = raw(
            address,
            format!("POST {path} HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").as_bytes(),
        );
        assert_eq!(status_of(&unsigned), 400, "{unsigned}");
        let answer = raw(address, &event.request(path));
        assert_eq!(status_of(&answer), 204, "{answer}");
    }
    assert_eq!(hooked.scene.upstream.hits(), before);
    for path in ["/-/webhooks", "/-/webhooks/clerk/", "/-/webhooks/clerk2"] {
        assert_eq!(
            status_of(&raw(address, &event.request(path))),
            401,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_the_path_is_like_any_other() {
    let setting = Setting {
        routes: "[[route]]\npath = \"/-/*\"\nauth = \"none\"\n",
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    assert_eq!(status_of(&scene.get(PATH, &[])), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_before_it_is_there() {
    let hooked = Hooked::start().await;
    let delivery = Delivery::of("session.revoked", json!({"id": "sess_1"}));
    // Nothing of the body is sent.
    let announced = format!(
        "POST {PATH} HTTP/1.1\r\n{}Content-Length: 262145\r\n\r\n",
        delivery.head()
    );
    let answer = raw(hooked.scene.address, announced.as_bytes());
    assert_eq!(status_of(&answer), 413, "{answer}");
    assert!(answer.contains("webhook-too-large"), "{answer}");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let endless = format!(
        "POST {PATH} HTTP/1.1\r\n{}Transfer-Encoding: chunked\r\n\r\n{}",
        delivery.head(),
        chunk.repeat(5)
    );
    let answer = raw(hooked.scene.address, endless.as_bytes());
    assert_eq!(status_of(&answer), 413, "{answer}");
    // What no good signature can follow is refused without its body too.
    let unsigned = format!("POST {PATH} HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 100\r\n\r\n");
    let answer = raw(hooked.scene.address, unsigned.as_bytes());
    assert_eq!(status_of(&answer), 400, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_rotated_by_files_and_a_reload() {
    let hooked = Hooked::with("watch_interval = \"50ms\"", &[KEY, OTHER_KEY]).await;
    let event = || Delivery::of("email.created", json!({}));
    let by_other = || Delivery {
        key: OTHER_KEY,
        ..event()
    };
    hooked.deliver(&event());
    hooked.deliver(&by_other());
    fs::write(&hooked.secret_file, secret(OTHER_KEY)).unwrap();
    eventually("the old secret's end", || {
        status_of(&hooked.send(&event())) == 400
    });
    hooked.deliver(&by_other());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_logged_like_any_request_and_no_secret_is_shown() {
    let file = folder().join("access");
    let log = format!("[log]\naccess = \"{}\"\n", file.display());
    let mut hooked = Hooked::with(&log, &[KEY]).await;
    hooked.deliver(&Delivery::of("email.created", json!({})));
    hooked.refuses(
        &Delivery {
            key: OTHER_KEY,
            ..Delivery::of("email.created", json!({}))
        },
        400,
        "webhook-signature-invalid",
    );
    let shown = get(hooked.scene.admin, "/config", &[]);
    assert!(!shown.contains("whsec_"), "{shown}");
    hooked.scene.gateway.signal("TERM");
    assert_eq!(hooked.scene.gateway.status(), Some(0));
    let lines = fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (&line["route"], &line["status"], &line["reason"]))
        .collect();
    let (route, reason) = (json!("webhooks"), json!("webhook-signature-invalid"));
    assert_eq!(
        seen,
        [
            (&route, &json!(204), &Value::Null),
            (&route, &json!(400), &reason)
        ]
    );
}

#[test]
fn a_secret_that_is_none_ends_the_start() {
    let said = |run: &Run, part: &str| {
        assert_eq!(run.status, 2, "{}", run.stderr);
        assert!(run.stderr.contains(part), "{}", run.stderr);
        assert!(!run.stderr.contains("c2hvcnQ"), "{}", run.stderr);
    };
    for text in [
        "whsec_",
        "whsec_c2hvcnQ=",
        "sk_test_abc",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ] {
        let run = check_env(&[("CLERK_WEBHOOK_SIGNING_SECRET", text)], &[]);
        said(&run, "webhooks.secret: is no signing secret");
    }
    let empty = folder().join("empty");
    fs::write(&empty, "\n").unwrap();
    let files = format!("[webhooks]\nsecret_files = [{empty:?}]\n");
    let (_, run) = check("webhooks-empty.toml", &files);
    said(&run, "webhooks.secret_files[0]");
    let (_, run) = check("webhooks-given-empty.toml", "[webhooks]\nsecret = \"\"\n");
    said(&run, "webhooks.secret: is empty");
    // As in Clerk's SDKs, an empty variable is no variable.
    let run = check_env(&[("CLERK_WEBHOOK_SIGNING_SECRET", "")], &[]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let good = check_env(&[("CLERK_WEBHOOK_SIGNING_SECRET", &secret(KEY))], &[]);
    assert_eq!(good.status, 0, "{}", good.stderr);
    assert!(good.line("webhooks.secret").contains("(set)"));
    assert!(!good.stdout.contains("whsec_"), "{}", good.stdout);
}

#[test]
fn a_path_that_cannot_be_reserved_is_a_problem() {
    let with = |path: &str, more: &str| {
        format!(
            "[webhooks]\npath = \"{path}\"\nsecret = \"{}\"\n{more}",
            secret(KEY)
        )
    };
    let upstream = "[[upstream]]\nname = \"app\"\nurl = \"http://127.0.0.1:3000\"\n";
    let route = format!("{upstream}[[route]]\npath = \"/hooks\"\n");
    for (text, part) in [
        (with("hooks", upstream), "webhooks.path"),
        (with("/", upstream), "webhooks.path"),
        (with("/hooks/*", upstream), "webhooks.path"),
        (with("/a/../hooks", upstream), "webhooks.path"),
        (with("/h%6foks", upstream), "webhooks.path"),
        (with("/hooks", &route), "route[0].path"),
        (
            with(
                "/hooks",
                &format!("[sign_out]\npath = \"/hooks\"\n{upstream}"),
            ),
            "sign_out.path",
        ),
    ] {
        let (_, run) = check("webhooks-path.toml", &text);
        assert_eq!(run.status, 2, "{text}");
        assert!(run.stderr.contains(part), "{text}\n{}", run.stderr);
    }
}
