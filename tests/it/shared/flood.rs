//! A flood of sessions that nobody has asked about: Clerk is asked no more than its limit allows.

use std::time::{Duration, Instant};

use tokio::{task::JoinSet, time::interval};

use super::Fleet;

/// For all three together.
const BUDGET: usize = 30;
const TOLD: &[(&str, &str)] = &[
    ("CLERK_GATEWAY__CLERK__CALLS_PER_10S", "30"),
    ("CLERK_GATEWAY__CLERK__REPLICAS", "3"),
];
const WINDOW: Duration = Duration::from_secs(10);
/// Two windows, and what is remembered of one.
const FLOOD: Duration = Duration::from_secs(23);
const PACE: Duration = Duration::from_millis(15);

/// What has been asked of Clerk so far, by whatever costs of the budget.
fn asked(fleet: &Fleet) -> usize {
    let operations = ["GetSession", "GetJWKS", "CreateSessionTokenFromTemplate"];
    operations
        .iter()
        .map(|name| fleet.sandbox.requests(name))
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_flood_over_three_replicas_asks_clerk_no_more_than_the_budget_in_any_ten_seconds() {
    let fleet = Fleet::told(3, TOLD).await;
    let client = reqwest::Client::new();
    let mut running = JoinSet::new();
    let mut seen = vec![(Instant::now(), asked(&fleet))];
    let mut ticks = interval(PACE);
    let since = Instant::now();
    let mut number = 0;
    while since.elapsed() < FLOOD {
        ticks.tick().await;
        seen.push((Instant::now(), asked(&fleet)));
        let address = fleet.replicas[number % 3].address;
        let request = client.get(format!("http://{address}/asked/x"));
        // One that Clerk knows, or one that is made up.
        let request = match number % 2 {
            0 => request.bearer_auth(fleet.new_session().1),
            _ => request.header("X-Session-Id", format!("sess_{number:027}")),
        };
        running.spawn(async move { request.send().await.unwrap().status().as_u16() });
        number += 1;
    }
    let answers = running.join_all().await;
    let count = |status| answers.iter().filter(|answer| **answer == status).count();
    let (passed, unknown, late) = (count(200), count(401), count(503));
    assert_eq!(passed + unknown + late, answers.len(), "{answers:?}");
    let most = most_in_a_window(&seen);
    let all = asked(&fleet);
    println!(
        "{} requests: {passed} passed, {unknown} unknown, {late} late; {all} calls, {most} in 10 s at most",
        answers.len()
    );
    assert!(most <= BUDGET, "{most} calls in 10 s");
    // And it is used, again and again.
    assert!(all > BUDGET && late > 0, "{all} calls");
}

fn most_in_a_window(seen: &[(Instant, usize)]) -> usize {
    let ends = seen.iter().enumerate().map(|(from, (began, before))| {
        let within = seen[from..]
            .iter()
            .take_while(|(at, _)| *at - *began <= WINDOW);
        within
            .map(|(_, count)| count - before)
            .max()
            .unwrap_or_default()
    });
    ends.max().unwrap_or_default()
}
