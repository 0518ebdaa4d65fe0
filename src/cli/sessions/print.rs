//! What `sessions` prints: a table for people, JSON for scripts.

use std::io::{self, Write};

use serde::Serialize;

use crate::clerk::model::{MintedToken, SessionObject, SessionPage};

/// Prints what an operation gave.
pub(super) struct Printer<'a, W> {
    pub(super) out: &'a mut W,
    pub(super) json: bool,
}

impl<W: Write> Printer<'_, W> {
    pub(super) fn page(&mut self, page: &SessionPage) -> io::Result<()> {
        if self.json {
            return self.json(page);
        }
        self.table(&page.data)
    }

    pub(super) fn session(&mut self, session: SessionObject) -> io::Result<()> {
        if self.json {
            return self.json(&session);
        }
        self.table(&[session])
    }

    pub(super) fn token(&mut self, token: &MintedToken) -> io::Result<()> {
        if self.json {
            return self.json(token);
        }
        writeln!(self.out, "{}", printable(&token.jwt))
    }

    fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *self.out, value)?;
        writeln!(self.out)
    }

    fn table(&mut self, sessions: &[SessionObject]) -> io::Result<()> {
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(sessions.iter().map(row));
        let mut widths = [0; COLUMNS];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in &rows {
            let cells = row.iter().zip(widths);
            let line: Vec<_> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            writeln!(self.out, "{}", line.join("  ").trim_end())?;
        }
        Ok(())
    }
}

const COLUMNS: usize = 7;
const HEADINGS: [&str; COLUMNS] = [
    "SESSION",
    "STATUS",
    "USER",
    "CLIENT",
    "ORGANIZATION",
    "LAST ACTIVE",
    "EXPIRES",
];

fn row(session: &SessionObject) -> [String; COLUMNS] {
    let organization = session.last_active_organization_id.as_deref();
    [
        printable(&session.id),
        printable(session.status.as_str()),
        printable(&session.user_id),
        printable(&session.client_id),
        printable(organization.unwrap_or("-")),
        utc(session.last_active_at),
        utc(session.expire_at),
    ]
}

/// Replaces control characters, which could command the terminal.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// Writes Unix milliseconds as `2024-05-28T08:00:00Z`.
fn utc(millis: i64) -> String {
    let seconds = millis.div_euclid(1000);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Returns year, month and day, `days` after 1970-01-01, in the Gregorian calendar.
///
/// A year is counted from March, so that the leap day is its last; 400 years have 146 097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let since_march_0000 = days + 719_468;
    let era = since_march_0000.div_euclid(146_097);
    let of_era = since_march_0000.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_the_calendars() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59Z"),
            (4_102_444_800_000, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(utc(millis), text);
        }
        // As far off as the type goes, it must only not panic.
        assert!(!utc(i64::MAX).is_empty() && !utc(i64::MIN).is_empty());
    }
}
