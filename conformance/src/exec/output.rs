//! What a server writes: the last lines of stdout and stderr, and the first URL on stdout.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::watch;

/// How many lines of each stream are kept.
const LINES: usize = 200;

/// How many bytes of a line are kept.
const LINE_BYTES: usize = 2_000;

/// The streams of a server, read all the time.
#[derive(Debug)]
pub(super) struct Output {
    stdout: Arc<Tail>,
    stderr: Arc<Tail>,
    url: watch::Receiver<Option<String>>,
    open: watch::Receiver<usize>,
}

/// The last lines of a stream.
#[derive(Debug, Default)]
struct Tail(Mutex<VecDeque<String>>);

impl Tail {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn lines(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }
}

impl Output {
    /// Begins to read two streams.
    pub(super) fn new<O, E>(stdout: O, stderr: E) -> Self
    where
        O: AsyncRead + Unpin + Send + 'static,
        E: AsyncRead + Unpin + Send + 'static,
    {
        let tails = [Arc::<Tail>::default(), Arc::<Tail>::default()];
        let (found, url) = watch::channel(None);
        let (closing, open) = watch::channel(2);
        let closing = Arc::new(closing);
        let (tail, done) = (Arc::clone(&tails[0]), Arc::clone(&closing));
        tokio::spawn(async move {
            read_lines(stdout, |line| {
                if found.borrow().is_none()
                    && let Some(url) = url_in(&line)
                {
                    found.send_replace(Some(url.to_owned()));
                }
                tail.push(line);
            })
            .await;
            done.send_modify(|open| *open -= 1);
        });
        let (tail, done) = (Arc::clone(&tails[1]), closing);
        tokio::spawn(async move {
            read_lines(stderr, |line| tail.push(line)).await;
            done.send_modify(|open| *open -= 1);
        });
        let [stdout, stderr] = tails;
        Self {
            stdout,
            stderr,
            url,
            open,
        }
    }

    /// The last lines of stdout.
    pub(super) fn stdout_tail(&self) -> Vec<String> {
        self.stdout.lines()
    }

    /// The last lines of stderr.
    pub(super) fn stderr_tail(&self) -> Vec<String> {
        self.stderr.lines()
    }

    /// Waits for a line on stdout with a WebSocket URL, and gives the URL.
    pub(super) async fn url(&self) -> String {
        let mut url = self.url.clone();
        let found = url.wait_for(Option::is_some).await;
        match found.ok().and_then(|found| found.clone()) {
            Some(found) => found,
            // The stream has ended without one.
            None => std::future::pending().await,
        }
    }

    /// Waits until both streams have ended, for at most `within`: a server may have handed them on.
    pub(super) async fn finished(&self, within: Duration) {
        let mut open = self.open.clone();
        let ended = open.wait_for(|open| *open == 0);
        // What has come until now is what there is.
        let _ = tokio::time::timeout(within, ended).await;
    }
}

/// Reads a stream to its end and gives its lines, cut where they are long.
async fn read_lines<R: AsyncRead + Unpin>(mut stream: R, mut give: impl FnMut(String)) {
    let mut chunk = vec![0; 8 * 1024];
    let mut line = Vec::new();
    loop {
        // A stream that fails has ended.
        let count = stream.read(&mut chunk).await.unwrap_or(0);
        for &byte in &chunk[..count] {
            if byte == b'\n' {
                give(words(&line));
                line.clear();
            } else if line.len() < LINE_BYTES {
                line.push(byte);
            }
        }
        if count == 0 {
            break;
        }
    }
    if !line.is_empty() {
        give(words(&line));
    }
}

fn words(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end().to_owned()
}

/// The first WebSocket URL in a line.
fn url_in(line: &str) -> Option<&str> {
    let from = ["ws://", "wss://"]
        .into_iter()
        .filter_map(|scheme| line.find(scheme))
        .min()?;
    let rest = &line[from..];
    let outside = |c: char| c.is_whitespace() || c.is_control() || "\"'`<>(),;|".contains(c);
    let url = &rest[..rest.find(outside).unwrap_or(rest.len())];
    Some(url.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_found_in_lines() {
        for (line, url) in [
            (
                "listening on ws://127.0.0.1:8000/ws",
                Some("ws://127.0.0.1:8000/ws"),
            ),
            ("INFO  ready: wss://a.b/ws.", Some("wss://a.b/ws")),
            (
                r#"{"url":"ws://[::1]:9/a","pid":1}"#,
                Some("ws://[::1]:9/a"),
            ),
            ("\u{1b}[1mws://a:1/ws\u{1b}[0m", Some("ws://a:1/ws")),
            ("http://127.0.0.1:8000/ws", None),
        ] {
            assert_eq!(url_in(line), url, "{line}");
        }
    }

    #[tokio::test]
    async fn the_last_lines_are_kept_and_long_ones_cut() {
        let mut text = String::from("first\n");
        (0..LINES).for_each(|number| text.push_str(&format!("line {number}\r\n")));
        text.push_str(&"x".repeat(LINE_BYTES + 5));
        let text: &'static [u8] = text.leak().as_bytes();
        let output = Output::new(text, &b""[..]);
        output.finished(Duration::from_secs(5)).await;
        let lines = output.stdout_tail();
        assert_eq!((lines.len(), lines[0].as_str()), (LINES, "line 1"));
        assert_eq!(lines[LINES - 1].len(), LINE_BYTES);
        assert!(output.stderr_tail().is_empty());
    }
}
