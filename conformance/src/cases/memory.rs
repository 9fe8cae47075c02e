//! The memory of a server with readers that have stalled. The case has a server of its own, so that
//! the figures are of nothing else.

use crate::case::{Case, Weight};
use crate::client::Client;
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};

use super::slow::{Names, Writer, join_small};

const MIB: u64 = 1 << 20;

/// How many clients do not read.
const STALLED: usize = 20;

/// How many MiB of echoes are sent while they read, and while they do not.
const SENT: [u64; 2] = [16, 40];

/// What may wait for each (`slow.ceiling`).
const MAY_WAIT: u64 = 16 * MIB;

/// What a server may need beside it all: for connections, for garbage not yet collected.
const SLACK: u64 = 64 * MIB;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::code(
            "slow/memory-bounded",
            "with twenty clients that do not read, a server holds no more than may wait for each",
            &["slow.ceiling", "slow.no-delay"],
            memory_bounded,
        )
        .own_server()
        .weight(Weight::Slow),
    ]
}

async fn memory_bounded(context: Context) -> Outcome {
    let mut writer = Writer::join_with(&context, Names::Wide).await?;
    let mut witness = context.join("witness").await?;
    let at_start = context.server_memory()?;
    // What a history takes by itself; a server keeps it in whatever way.
    let with_readers = flood(&context, &mut writer, &mut witness, SENT[0]).await?;
    let history = with_readers.saturating_sub(at_start) * SENT[1] / SENT[0];

    let mut stalled = Vec::new();
    for number in 0..STALLED {
        let mut client = join_small(&context, &format!("stalled-{number}")).await?;
        client.stop_reading();
        stalled.push(client);
    }
    let before = context.server_memory()?;
    let peak = flood(&context, &mut writer, &mut witness, SENT[1]).await?;
    let grown = peak.saturating_sub(before);
    for (name, bytes) in [
        ("memory at the start", at_start),
        ("memory with readers", with_readers),
        ("memory before stalled readers", before),
        ("memory with stalled readers", peak),
    ] {
        context.measured(name, bytes, "bytes");
    }
    let bound = STALLED as u64 * MAY_WAIT + 2 * history + SLACK;
    if grown <= bound {
        return Ok(());
    }
    let what = format!(
        "the server's memory grew by {} MiB while {STALLED} clients did not read",
        grown / MIB
    );
    Err(Failure::breach("slow.ceiling", what)
        .expected(format!(
            "at most {} MiB: {STALLED} times 16 MiB that may wait, twice the {} MiB that as many ops \
             take by themselves, and {} MiB",
            bound / MIB,
            history / MIB,
            SLACK / MIB
        ))
        .got(format!("{} MiB", grown / MIB)))
}

/// Sends MiB after MiB of echoes to all: the greatest memory seen between them.
async fn flood(
    context: &Context,
    writer: &mut Writer,
    witness: &mut Client,
    mibs: u64,
) -> Outcome<u64> {
    let mut peak = 0;
    for _ in 0..mibs {
        let from = writer.submit_bytes(MIB as usize);
        writer.goes_on(from, witness, ids::SEQ_FAN_OUT).await?;
        peak = context.server_memory()?.max(peak);
    }
    Ok(peak)
}
