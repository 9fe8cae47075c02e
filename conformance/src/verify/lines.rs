//! Captures as JSON Lines.

use std::io::{BufRead, Read as _};

use collab_spec::trace::TraceLine;

use super::{Captured, Verifier, unreadable};
use crate::trace::line;

/// The longest line: a message of 64 MiB, each byte escaped, is shorter.
const MOST_BYTES: u64 = 512 << 20;

const CUT: &str = "last lines that are cut";

pub(super) fn read(
    mut input: impl BufRead,
    name: &str,
    verifier: &mut Verifier,
) -> Result<(), String> {
    let mut text = Vec::new();
    let mut number = 0;
    loop {
        text.clear();
        let read = input.by_ref().take(MOST_BYTES).read_until(b'\n', &mut text);
        let bytes = read.map_err(|error| unreadable(name, &error))?;
        if bytes == 0 {
            return Ok(());
        }
        number += 1;
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let wrong = |why: &str| format!("{name}:{number}: {why}");
        let line: TraceLine = match serde_json::from_slice(&text) {
            Ok(line) => line,
            // A capture may end anywhere.
            Err(error) if error.is_eof() && !text.ends_with(b"\n") => {
                verifier.leave(CUT);
                return Ok(());
            }
            Err(error) => {
                let why = format!("the line is no event ({error}); see docs/verifying-traffic.md");
                return Err(wrong(&why));
            }
        };
        verifier.lines += 1;
        if !line::has_message(&line) {
            return Err(wrong("a `text` line has no `content`"));
        }
        let (at_us, connection) = (line.at_us, line.connection.clone());
        if let Some(what) = line::read(line).map_err(|why| wrong(&why))? {
            let captured = Captured {
                line: number,
                at_us,
                connection: &connection,
                what,
            };
            verifier.hear(name, &captured);
        }
    }
}
