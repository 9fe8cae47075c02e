//! The page, 80 columns wide.

use std::fmt::Write as _;
use std::time::Duration;

use collab_spec::profile::Profile;
use serde_json::Value;

use super::Page;
use super::closes::Close;
use crate::report::wrapped;
use crate::validate::shortened;

/// How wide the column of names is.
const NAMES: usize = 28;

/// How much room is right of it.
const ROOM: usize = 80 - NAMES - 2;

impl Page {
    /// The page in words.
    pub fn words(&self) -> String {
        let mut text = format!("{}\n\n", self.url);
        self.identity(&mut text);
        self.limits(&mut text);
        self.closes(&mut text);
        self.times(&mut text);
        for why in &self.missing {
            text.push('\n');
            wrapped(&mut text, "  ", &format!("Not found out: {why}."));
        }
        let _ = writeln!(
            text,
            "\nFound in {:.1} s. Whether the server is right, `run` says.",
            self.took.as_secs_f64()
        );
        text
    }

    fn identity(&self, text: &mut String) {
        let health = match &self.health {
            Ok(page) => format!("{} {}", page.status, one_line(&page.body)),
            Err(why) => one_line(why),
        };
        row(text, "GET /health", &health);
        if let Ok(page) = &self.health
            && let Some(server) = &page.server
        {
            row(text, "calls itself", &one_line(server));
        }
        let names: Vec<&str> = self.profiles.iter().map(|profile| profile.name()).collect();
        row(text, "profiles", &names.join(", "));
        let field = |name: &str| self.ack.get(name);
        if let Some(epoch) = field("epoch").and_then(Value::as_str) {
            row(text, "epoch of a new document", &one_line(epoch));
        }
    }

    fn limits(&self, text: &mut String) {
        let limits = self.ack.get("limits");
        let limit = |name: &str| limits?.get(name)?.as_u64();
        if let Some(run) = limit("max_run") {
            row(text, "longest run, as it says", &format!("{run} elements"));
        }
        if let Some(bytes) = limit("max_message_bytes") {
            row(text, "longest message, as it says", &bytes_words(bytes));
        }
        let (taken, refused) = self.size;
        if taken > 0 {
            let words = match refused {
                Some(refused) => format!("{taken} bytes taken, {refused} refused"),
                None => format!("above {}", bytes_words(taken as u64)),
            };
            row(text, "longest message, as found", &words);
        }
        if !self.profiles.contains(&Profile::Resume) {
            row(
                text,
                "after a lost connection",
                "ops may be missed or doubled",
            );
        }
    }

    fn closes(&self, text: &mut String) {
        if self.closes.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "\n  {:<NAMES$}{:<6}{:>6}",
            "what it answers to", "close", "ms"
        );
        for close in &self.closes {
            answer(text, close);
        }
    }

    fn times(&self, text: &mut String) {
        if self.times.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "\n  {:<NAMES$}{:>9}{:>9}{:>9}{:>9}",
            "ms", "median", "p90", "p99", "max"
        );
        for found in &self.times {
            let millis = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1_000.0);
            let _ = writeln!(
                text,
                "  {:<NAMES$}{:>9}{:>9}{:>9}{:>9}   of {}",
                found.what,
                millis(found.percentile(50)),
                millis(found.percentile(90)),
                millis(found.percentile(99)),
                millis(found.percentile(100)),
                found.sorted.len()
            );
        }
    }
}

fn answer(text: &mut String, close: &Close) {
    let (code, reason) = match &close.came {
        None => ("none".to_owned(), "nothing came".to_owned()),
        Some((1006, why)) => ("none".to_owned(), format!("the end of TCP: {why}")),
        Some((code, reason)) => (code.to_string(), one_line(reason)),
    };
    let is_due = close
        .came
        .as_ref()
        .is_some_and(|(code, _)| *code == close.due);
    let words = match is_due {
        true => reason,
        false => format!("(section 10 has {}) {reason}", close.due),
    };
    let millis = format!("{:.1}", close.after.as_secs_f64() * 1_000.0);
    let head = format!("  {:<NAMES$}{code:<6}{millis:>6}  ", close.what);
    let indent = " ".repeat(head.chars().count());
    let mut lines = String::new();
    wrapped(&mut lines, &indent, &words);
    match lines.strip_prefix(&indent) {
        Some(lines) => text.push_str(&(head + lines)),
        None => *text += &format!("{}\n", head.trim_end()),
    }
}

fn row(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "  {name:<NAMES$}{}", shortened(value, ROOM));
}

fn one_line(text: &str) -> String {
    let chars = text.trim().chars();
    chars
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn bytes_words(bytes: u64) -> String {
    match bytes {
        bytes if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes if bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(came: Option<(u16, &str)>) -> String {
        let mut text = String::new();
        let close = Close {
            what: "a binary message",
            due: 1003,
            came: came.map(|(code, reason)| (code, reason.to_owned())),
            after: Duration::from_micros(1_250),
        };
        answer(&mut text, &close);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        text
    }

    #[test]
    fn what_differs_from_the_specification_is_said() {
        let right = answered(Some((1003, "protocol: binary")));
        assert_eq!(
            right,
            "  a binary message            1003     1.2  protocol: binary\n"
        );
        assert!(answered(Some((1002, ""))).contains("1002     1.2  (section 10 has 1003)"));
        assert!(answered(None).contains("none     1.2  (section 10 has 1003) nothing came"));
        assert_eq!(
            answered(Some((1003, ""))).trim_end(),
            "  a binary message            1003     1.2"
        );
        let long = answered(Some((1003, &"what was wrong ".repeat(8))));
        assert!(long.lines().count() > 1, "{long}");
    }
}
