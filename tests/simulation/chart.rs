//! Draws what the simulation has shown: calls and revocation lag over the number of sessions.

use std::fmt::Write;

use super::{BUDGET, LIMIT, REPLICAS, fleet::Outcome};

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
const COLORS: [&str; 3] = ["#1f77b4", "#d95f02", "#1b9e77"];

struct Panel<'a> {
    left: f64,
    title: &'a str,
    /// The vertical axis's end.
    most: f64,
    /// Its labelled values.
    ticks: &'a [f64],
}

pub(super) fn draw(outcomes: &[Outcome]) -> String {
    let calls = Panel {
        left: 60.0,
        title: "most calls of Clerk in any 10 s, by all replicas; by active sessions",
        most: 1_200.0,
        ticks: &[0.0, 300.0, 600.0, 900.0, 1_000.0],
    };
    let lag = Panel {
        left: 600.0,
        title: "seconds until an untold revocation is seen: p50 (dotted), p99; by active sessions",
        most: 70.0,
        ticks: &[0.0, 15.0, 30.0, 45.0, 60.0],
    };
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1100\" height=\"460\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"1100\" height=\"460\" fill=\"white\"/>\n",
    );
    axes(&mut svg, &calls);
    axes(&mut svg, &lag);
    level(&mut svg, &calls, LIMIT as f64, "Clerk's limit");
    level(&mut svg, &calls, f64::from(BUDGET), "the default budget");
    level(&mut svg, &lag, 60.0, "session_ttl_max");
    level(&mut svg, &lag, 15.0, "session_ttl");
    for (replicas, color) in REPLICAS.into_iter().zip(COLORS) {
        let of_these = || outcomes.iter().filter(|one| one.replicas == replicas);
        let points = of_these().map(|one| (one.sessions, one.most_calls as f64));
        line(&mut svg, &calls, color, "", points);
        let points = of_these().map(|one| (one.sessions, one.lag(0.99)));
        line(&mut svg, &lag, color, "", points);
        let points = of_these().map(|one| (one.sessions, one.lag(0.5)));
        line(&mut svg, &lag, color, "2 4", points);
    }
    legend(&mut svg, outcomes);
    svg.push_str("</svg>\n");
    svg
}

fn axes(svg: &mut String, panel: &Panel) {
    let (left, bottom) = (panel.left, 40.0 + HEIGHT);
    text(svg, left, 24.0, panel.title);
    let _ = writeln!(
        svg,
        "<path d=\"M{left},40 V{bottom} H{:.0}\" fill=\"none\" stroke=\"black\"/>",
        left + WIDTH
    );
    for value in panel.ticks {
        let y = panel.y(*value);
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            left - 6.0,
            y + 4.0
        );
    }
    for (sessions, name) in [
        (1_000, "10³"),
        (10_000, "10⁴"),
        (100_000, "10⁵"),
        (1_000_000, "10⁶"),
    ] {
        text(svg, panel.x(sessions) - 8.0, bottom + 18.0, name);
    }
}

fn level(svg: &mut String, panel: &Panel, value: f64, name: &str) {
    let y = panel.y(value);
    let _ = writeln!(
        svg,
        "<path d=\"M{:.0},{y:.1} h{WIDTH}\" stroke=\"#999\" stroke-dasharray=\"6 4\"/>",
        panel.left
    );
    text(svg, panel.left + 6.0, y - 4.0, name);
}

fn line(
    svg: &mut String,
    panel: &Panel,
    color: &str,
    dashes: &str,
    points: impl Iterator<Item = (usize, f64)>,
) {
    let points: Vec<_> = points
        .map(|(sessions, value)| format!("{:.1},{:.1}", panel.x(sessions), panel.y(value)))
        .collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>",
        points.join(" ")
    );
}

/// Names the colors, with what part of the requests was 503 where that is worth a word.
fn legend(svg: &mut String, outcomes: &[Outcome]) {
    for (row, (replicas, color)) in REPLICAS.into_iter().zip(COLORS).enumerate() {
        let y = 390.0 + 20.0 * row as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"60\" y=\"{:.0}\" width=\"14\" height=\"10\" fill=\"{color}\"/>",
            y - 9.0
        );
        let of_these = outcomes.iter().filter(|one| one.replicas == replicas);
        let refused = of_these.filter(|one| one.refused_share() > 0.001);
        let shares: Vec<_> = refused
            .map(|one| {
                let percent = one.refused_share() * 100.0;
                format!("{percent:.1} % with {} sessions", one.sessions)
            })
            .collect();
        let named = match replicas {
            1 => "1 replica".to_owned(),
            more => format!("{more} replicas"),
        };
        text(
            svg,
            80.0,
            y,
            &format!("{named}; 503: {}", shares.join(", ")),
        );
    }
}

fn text(svg: &mut String, x: f64, y: f64, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.0}\" y=\"{y:.0}\">{text}</text>");
}

impl Panel<'_> {
    /// Logarithmic, from 10³ to 10⁶.
    fn x(&self, sessions: usize) -> f64 {
        self.left + 10.0 + ((sessions as f64).log10() - 3.0) / 3.0 * (WIDTH - 20.0)
    }

    fn y(&self, value: f64) -> f64 {
        40.0 + HEIGHT * (1.0 - value / self.most)
    }
}
