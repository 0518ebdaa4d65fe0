use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use super::*;

type TestCache = Arc<Cache<String, u32, Fault>>;

#[derive(Debug)]
struct Fault(Excuse);

impl FetchError for Fault {
    fn excuse(&self) -> Excuse {
        self.0
    }
}

const TTL: Duration = Duration::from_secs(15);
const STALE: Duration = Duration::from_secs(300);

fn cache() -> TestCache {
    Arc::new(Cache::new(CacheOptions {
        capacity: 100,
        patience: Duration::from_millis(20),
        retry_after: Duration::from_secs(1),
        coalesced: || {},
        missed: || {},
    }))
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn fetched(now: Timestamp, value: u32) -> Fetched<u32> {
    Fetched {
        value,
        lifetime: Lifetime::fresh_for(now, TTL, STALE),
    }
}

async fn get(cache: &TestCache, now: i64, result: Result<u32, Excuse>) -> Result<u32, ()> {
    let fetch = async move { result.map(|value| fetched(at(now), value)).map_err(Fault) };
    cache
        .get("k".to_owned(), at(now), Staleness::Accept, fetch)
        .await
        .map_err(|_| ())
}

#[tokio::test]
async fn all_who_ask_meanwhile_share_one_fetch() {
    let cache = cache();
    let fetches = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let (cache, fetches) = (Arc::clone(&cache), Arc::clone(&fetches));
            tokio::spawn(async move {
                let fetch = async move {
                    fetches.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    Ok::<_, Fault>(fetched(at(0), 7))
                };
                let got = cache.get("k".to_owned(), at(0), Staleness::Accept, fetch);
                got.await.unwrap()
            })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), 7);
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_fetch_outlives_the_caller_that_began_it() {
    let cache = cache();
    let (release, held) = oneshot::channel::<()>();
    let fetch = async move {
        held.await.unwrap();
        Ok::<_, Fault>(fetched(at(0), 7))
    };
    let first = {
        let cache = Arc::clone(&cache);
        tokio::spawn(async move {
            cache
                .get("k".to_owned(), at(0), Staleness::Accept, fetch)
                .await
        })
    };
    tokio::task::yield_now().await;
    first.abort();
    let _ = first.await;
    release.send(()).unwrap();
    assert_eq!(get(&cache, 0, Err(Excuse::Ends)).await, Ok(7));
}

#[tokio::test]
async fn a_fetch_that_panics_fails_its_waiters_and_not_the_next() {
    let cache = cache();
    let fetch = async { panic!("broken on purpose") };
    let got = cache
        .get("k".to_owned(), at(0), Staleness::Accept, fetch)
        .await;
    assert!(matches!(got, Err(Failure::Lost)));
    assert_eq!(get(&cache, 0, Ok(1)).await, Ok(1));
}

#[tokio::test]
async fn a_failed_fetch_is_not_cached() {
    let cache = cache();
    assert!(get(&cache, 0, Err(Excuse::Starts)).await.is_err());
    assert_eq!(get(&cache, 0, Ok(1)).await, Ok(1));
}

#[tokio::test]
async fn an_entry_is_fetched_again_when_its_freshness_ends() {
    let cache = cache();
    assert_eq!(get(&cache, 0, Ok(1)).await, Ok(1));
    assert_eq!(get(&cache, 14, Ok(2)).await, Ok(1));
    assert_eq!(get(&cache, 15, Ok(3)).await, Ok(3));
}

#[tokio::test]
async fn what_a_failure_means_for_a_stale_entry() {
    for (excuse, served) in [
        (Excuse::Starts, Ok(1)),
        (Excuse::Continues, Err(())),
        (Excuse::Ends, Err(())),
    ] {
        let cache = cache();
        get(&cache, 0, Ok(1)).await.unwrap();
        assert_eq!(get(&cache, 20, Err(excuse)).await, served, "{excuse:?}");
    }
}

#[tokio::test]
async fn a_stale_entry_ends_when_an_answer_forbids_it() {
    let cache = cache();
    get(&cache, 0, Ok(1)).await.unwrap();
    get(&cache, 20, Err(Excuse::Starts)).await.unwrap();
    // Due again: this one is served while the refresh in the background is refused.
    assert_eq!(get(&cache, 22, Err(Excuse::Ends)).await, Ok(1));
    while cache.recall("k", at(22), Staleness::Accept) != Recall::Missing {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn staleness_has_an_end() {
    let cache = cache();
    get(&cache, 0, Ok(1)).await.unwrap();
    assert_eq!(get(&cache, 314, Err(Excuse::Starts)).await, Ok(1));
    assert!(get(&cache, 315, Err(Excuse::Starts)).await.is_err());
}

#[tokio::test]
async fn who_refuses_stale_entries_gets_the_error() {
    let cache = cache();
    get(&cache, 0, Ok(1)).await.unwrap();
    get(&cache, 20, Err(Excuse::Starts)).await.unwrap();
    let fetch = async { Err(Fault(Excuse::Starts)) };
    let got = cache
        .get("k".to_owned(), at(20), Staleness::Refuse, fetch)
        .await;
    assert!(got.is_err());
}

#[tokio::test]
async fn a_slow_fetch_is_not_waited_for_where_a_stale_entry_will_do() {
    let cache = cache();
    get(&cache, 0, Ok(1)).await.unwrap();
    let never = std::future::pending::<Result<Fetched<u32>, Fault>>();
    let got = cache
        .get("k".to_owned(), at(20), Staleness::Accept, never)
        .await;
    assert!(matches!(got, Ok(1)));
    assert_eq!(
        cache.recall("k", at(20), Staleness::Accept),
        Recall::Stale(1)
    );
}

#[tokio::test]
async fn one_caller_refreshes_ahead_while_the_others_go_on() {
    let cache = cache();
    let lifetime = Lifetime {
        refresh_at: at(10),
        fresh_until: at(15),
        stale_until: at(15),
        kept_until: at(15),
    };
    let value = 1;
    cache.put("k".to_owned(), at(0), Fetched { value, lifetime });
    assert_eq!(
        cache.recall("k", at(9), Staleness::Refuse),
        Recall::Fresh(1)
    );
    assert_eq!(cache.recall("k", at(10), Staleness::Refuse), Recall::Due(1));
    assert_eq!(
        cache.recall("k", at(10), Staleness::Refuse),
        Recall::Fresh(1)
    );
    assert_eq!(cache.recall("k", at(11), Staleness::Refuse), Recall::Due(1));
    assert_eq!(
        cache.recall("k", at(15), Staleness::Refuse),
        Recall::Missing
    );
}

#[tokio::test]
async fn freshness_is_stretched_by_who_asks_and_no_longer_than_it_is_kept() {
    let cache = cache();
    let lifetime = Lifetime::fresh_for(at(0), TTL, Duration::ZERO).kept_for(at(0), 4 * TTL);
    let value = 1;
    cache.put("k".to_owned(), at(0), Fetched { value, lifetime });
    let recall = |now, stretch| {
        let entry = cache.find("k").unwrap();
        cache.judge(&entry, at(now), Staleness::Accept, |_| stretch)
    };
    let stretched = |refresh| Recall::Stretched { value, refresh };
    assert_eq!(recall(14, Stretch::Refresh), Recall::Fresh(1));
    assert_eq!(recall(15, Stretch::Over), Recall::Missing);
    assert_eq!(recall(15, Stretch::Serve), stretched(false));
    assert_eq!(recall(15, Stretch::Refresh), stretched(true));
    assert_eq!(recall(15, Stretch::Refresh), stretched(false));
    assert_eq!(recall(59, Stretch::Serve), stretched(false));
    assert_eq!(recall(60, Stretch::Serve), Recall::Missing);
}

#[tokio::test]
async fn a_capacity_of_zero_keeps_nothing() {
    let cache: TestCache = Arc::new(Cache::new(CacheOptions {
        capacity: 0,
        patience: Duration::ZERO,
        retry_after: Duration::ZERO,
        coalesced: || {},
        missed: || {},
    }));
    get(&cache, 0, Ok(1)).await.unwrap();
    assert_eq!(get(&cache, 0, Ok(2)).await, Ok(2));
}

#[tokio::test]
async fn every_change_of_the_entries_is_marked_and_nothing_else_is() {
    let cache = cache();
    let lifetime = Lifetime::fresh_for(at(0), TTL, Duration::ZERO);
    let value = 1;
    let mut mark = cache.mark();
    let mut is_changed = |cache: &TestCache| {
        let before = std::mem::replace(&mut mark, cache.mark());
        before != mark
    };
    cache.put("k".to_owned(), at(0), Fetched { value, lifetime });
    assert!(is_changed(&cache), "put");
    cache.recall("k", at(1), Staleness::Refuse);
    cache.find("k");
    assert!(!is_changed(&cache), "recall");
    get(&cache, 60, Ok(2)).await.unwrap();
    assert!(is_changed(&cache), "landed");
    cache.remove("k");
    assert!(is_changed(&cache), "removed");
    cache.evict(|_, _| true);
    assert!(is_changed(&cache), "evicted");
}
