//! The access log: one line a request, written by a thread of its own.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    net::IpAddr,
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
    time::Duration,
};

use serde::Serialize;

/// Lines that wait to be written; more are dropped and counted.
const WAITING: usize = 16_384;

/// The writer rests so long after it has written: lines are late by no more than that, and come in writes of many.
const REST: Duration = Duration::from_millis(20);

pub(super) const ACCESS_LOG_DROPPED: &str = "clerk_gateway_access_log_dropped_total";

/// Where lines go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Destination {
    File(PathBuf),
    Stderr,
    Stdout,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AccessFormat {
    /// One JSON object.
    Json,
    /// `key=value` pairs.
    Text,
}

/// What a line tells; never a query, a credential or a cookie.
#[derive(Debug, Serialize)]
pub(crate) struct Entry<'a> {
    /// RFC 3339, in UTC.
    pub(crate) time: String,
    pub(crate) request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<&'a str>,
    pub(crate) client: IpAddr,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<&'a str>,
    pub(crate) status: u16,
    /// The refusal's or failure's slug.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'a str>,
    /// Until the answer's head, in milliseconds.
    pub(crate) duration_ms: f64,
    pub(crate) user_agent: &'a str,
}

/// Takes lines; what is left is written when it is dropped.
pub(crate) struct AccessLog {
    format: AccessFormat,
    lines: Option<SyncSender<Vec<u8>>>,
    writer: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Opens the destination; a file is appended to.
    ///
    /// # Errors
    ///
    /// Where the file cannot be opened.
    pub(crate) fn open(destination: &Destination, format: AccessFormat) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match destination {
            Destination::File(path) => Box::new(append(path)?),
            Destination::Stderr => Box::new(io::stderr()),
            Destination::Stdout => Box::new(io::stdout()),
        };
        let (lines, waiting) = sync_channel(WAITING);
        let writer = std::thread::Builder::new().name("access-log".to_owned());
        let writer = writer.spawn(move || write_all(&waiting, out))?;
        Ok(Self {
            format,
            lines: Some(lines),
            writer: Some(writer),
        })
    }

    /// Hands a line over; where the writer is too far behind, it is dropped and counted.
    pub(crate) fn log(&self, entry: &Entry<'_>) {
        let line = match self.format {
            AccessFormat::Json => json(entry),
            AccessFormat::Text => text(entry),
        };
        let lines = self.lines.as_ref();
        if lines.is_some_and(|lines| lines.try_send(line).is_err()) {
            metrics::counter!(ACCESS_LOG_DROPPED).increment(1);
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn append(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Writes until nobody is left who could send; flushes whenever nothing waits, and lets more gather then.
fn write_all(waiting: &Receiver<Vec<u8>>, out: Box<dyn Write + Send>) {
    let mut out = BufWriter::with_capacity(64 * 1024, out);
    let mut failed = false;
    while let Ok(line) = waiting.recv() {
        let mut written = out.write_all(&line);
        while let Ok(line) = waiting.try_recv() {
            written = written.and_then(|()| out.write_all(&line));
        }
        match written.and_then(|()| out.flush()) {
            Ok(()) => failed = false,
            Err(error) if !failed => {
                failed = true;
                tracing::error!(%error, "the access log cannot be written");
            }
            Err(_) => {}
        }
        // A writer that waited for each line would have to be woken for each, by the request that it is about.
        std::thread::sleep(REST);
    }
}

fn json(entry: &Entry<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(384);
    // Strings, numbers and addresses: nothing that could fail.
    let _ = serde_json::to_writer(&mut line, entry);
    line.push(b'\n');
    line
}

/// Quotes what clients choose as JSON does, so that a line stays one line.
fn text(entry: &Entry<'_>) -> Vec<u8> {
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    format!(
        "{} {} {} {} {} {} {} {} {:.3}ms {} {}\n",
        entry.time,
        entry.request_id,
        entry.client,
        entry.method,
        quoted(entry.host),
        quoted(entry.path),
        entry.status,
        entry.reason.unwrap_or("-"),
        entry.duration_ms,
        entry.route.map_or("-".to_owned(), quoted),
        quoted(entry.user_agent),
    )
    .into_bytes()
}

/// Writes a time since 1970 as RFC 3339 with milliseconds, in UTC.
pub(crate) fn rfc3339(since_1970: Duration) -> String {
    let secs = since_1970.as_secs();
    let (days, of_day) = (secs / 86_400, secs % 86_400);
    // Days from civil, backwards: eras of 400 years from March on.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
        since_1970.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_795_773_600, "2026-11-27T10:00:00.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            let time = Duration::from_secs(secs) + Duration::from_millis(7);
            assert_eq!(rfc3339(time), text);
        }
    }

    fn entry(path: &str) -> Entry<'_> {
        Entry {
            time: rfc3339(Duration::ZERO),
            request_id: "id",
            trace_id: None,
            client: "192.0.2.1".parse().unwrap(),
            method: "GET",
            host: "gw.test",
            path,
            version: "HTTP/1.1",
            route: Some("/*"),
            status: 200,
            reason: None,
            duration_ms: 0.5,
            user_agent: "a\u{1b}[31m\n",
        }
    }

    #[test]
    fn a_line_is_one_line_whatever_clients_send() {
        let path = "/\n\u{1b}[2J\"\\";
        for line in [json(&entry(path)), text(&entry(path))] {
            let line = String::from_utf8(line).unwrap();
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert!(line.ends_with('\n') && !line.contains('\u{1b}'), "{line}");
        }
        let parsed: serde_json::Value = serde_json::from_slice(&json(&entry(path))).unwrap();
        assert_eq!(parsed["path"], path);
    }

    #[test]
    fn what_was_handed_over_is_in_the_file_when_the_log_is_gone() {
        let path =
            std::env::temp_dir().join(format!("clerk-gateway-access-{}", std::process::id()));
        let log = AccessLog::open(&Destination::File(path.clone()), AccessFormat::Text).unwrap();
        for _ in 0..1000 {
            log.log(&entry("/x"));
        }
        drop(log);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text.lines().count(), 1000);
    }
}
