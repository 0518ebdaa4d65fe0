//! Rows in which clocks step.

use std::{fs, path::Path, sync::Arc, time::Duration};

use clerk_gateway::{SessionLayer, sandbox::Outage, verify::VerifyMode};

use super::{
    kind::{BEHIND, CALM},
    place::{SETTING, Setting},
    row::Row,
};
use crate::support::{Stage, bearer, passed, process::folder, refused, verdict};

/// How many ask at once, of each kind, at each time of the hour.
const AT_ONCE: usize = 100;

#[tokio::test]
async fn clerk_down_for_an_hour() {
    let stage = Stage::start().await;
    let clerk = stage.clerk();
    let known = Arc::new(SessionLayer::required(clerk.clone()));
    let networkless = SessionLayer::builder(clerk).verify(VerifyMode::Networkless);
    let networkless = Arc::new(networkless.build().unwrap());
    let id = stage.sandbox.session_id().to_owned();
    let token = stage.sandbox.mint_with(&id, |_, claims| {
        claims["exp"] = (claims["iat"].as_i64().unwrap() + 7_200).into();
    });
    let down = || refused(503, "clerk-unavailable");
    for layer in [&known, &networkless] {
        assert_eq!(verdict(layer, bearer(&token)).await, passed());
    }
    stage.sandbox.faults().outage(Some(Outage::Unavailable));
    let mut passed_secs = 0;
    // The known session is served for session_ttl and stale_if_error, the keys for an hour.
    for secs in [
        1, 14, 16, 100, 314, 316, 400, 900, 1_800, 3_599, 3_601, 4_000,
    ] {
        stage.pass(secs - passed_secs);
        passed_secs = secs;
        let (newcomer, fresh) = newcomer(&stage);
        let rows = [
            (&known, &token, if secs < 315 { passed() } else { down() }),
            (
                &networkless,
                &token,
                if secs < 3_600 { passed() } else { down() },
            ),
            (&known, &fresh, down()),
        ];
        for (layer, token, expected) in rows {
            let calls: Vec<_> = (0..AT_ONCE)
                .map(|_| {
                    let (layer, token) = (Arc::clone(layer), token.clone());
                    tokio::spawn(async move { verdict(&layer, bearer(&token)).await })
                })
                .collect();
            for call in calls {
                assert_eq!(call.await.unwrap(), expected, "{newcomer} after {secs} s");
            }
        }
    }
    stage.sandbox.faults().clear();
    stage.clock.advance(Duration::from_secs(1));
    let (_, fresh) = newcomer(&stage);
    for (layer, token) in [(&known, &token), (&networkless, &token), (&known, &fresh)] {
        assert_eq!(verdict(layer, bearer(token)).await, passed());
    }
}

/// A session that nobody has asked for, and a token of it.
fn newcomer(stage: &Stage) -> (String, String) {
    let session = stage.sandbox.create_session(stage.sandbox.user_id());
    let token = stage.sandbox.mint(&session);
    (session, token)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs libfaketime"]
async fn clocks_that_step_ten_seconds_on_and_back() {
    let file = folder().join("clock");
    let set = |shift: &str| {
        // Whole, by rename: it is read at any time.
        let new = file.with_extension("new");
        fs::write(&new, shift).unwrap();
        fs::rename(&new, &file).unwrap();
    };
    set("+0s");
    let setting = Setting {
        clock: Some(path(&file)),
        ..SETTING
    };
    let mut row = Row::start("clock +10 s, -10 s, right", setting).await;
    // The file is read once a second.
    row.turn(CALM, 2_300, async |_| set("+10s")).await;
    row.last(500).await;
    row.turn(BEHIND, 2_300, async |_| set("-10s")).await;
    row.last(1_000).await;
    row.turn(CALM, 2_300, async |_| set("+0s")).await;
    row.last(500).await;
    row.end().await;
}

fn path(path: &Path) -> &'static str {
    Box::leak(path.to_str().unwrap().to_owned().into_boxed_str())
}
