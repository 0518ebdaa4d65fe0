use std::time::Duration;

use super::*;
use crate::{clerk::Client, sandbox::Sandbox};

const NOW: Timestamp = Timestamp::from_secs(1_000);

fn later(secs: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(secs))
}

fn source(sandbox: &Sandbox) -> KeySource {
    let client = Client::builder(sandbox.secret_key().into());
    let client = client.api_url(sandbox.url()).build().unwrap();
    KeySource::remote(JwksEndpoint::BackendApi(client))
}

fn given(sandbox: &Sandbox) -> KeySource {
    KeySource::fixed(KeySet::from_pem(&sandbox.jwt_key()).unwrap())
}

async fn fetched(source: &KeySource) -> u64 {
    let KeySource::Remote(remote) = source else {
        unreachable!("it is fetched");
    };
    remote.fly(NOW).landed().await.unwrap().generation
}

#[tokio::test]
async fn what_the_same_keys_proved_is_proven_after_another_fetch_and_after_a_change_no_more() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let source = source(&sandbox);
    let first = fetched(&source).await;
    assert_eq!(fetched(&source).await, first);
    sandbox.rotate_key();
    assert_ne!(fetched(&source).await, first);
}

#[tokio::test]
async fn fetched_keys_have_an_age_and_given_ones_none() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    assert_eq!(given(&sandbox).age(NOW), None);
    let source = source(&sandbox);
    assert_eq!(source.age(NOW), None);
    fetched(&source).await;
    assert_eq!(source.age(later(7)), Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn keys_lack_no_id_for_half_a_minute_after_one_was_looked_for() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    assert!(!given(&sandbox).may_lack_a_kid(NOW));
    let source = source(&sandbox);
    fetched(&source).await;
    assert!(source.may_lack_a_kid(NOW));
    let looked = source.load_for_unknown_kid(NOW).await;
    looked.unwrap().unwrap();
    assert!(!source.may_lack_a_kid(later(29)));
    assert!(source.may_lack_a_kid(later(30)));
}
