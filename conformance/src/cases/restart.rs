//! The profile `resume` across the death of the server. Each case has a server of its own, kills it
//! and starts it again.
//!
//! A server may keep its documents or lose them. One that has lost a history has to name another epoch;
//! one that names the epoch of before has to have all that was echoed in it.

use std::collections::BTreeMap;
use std::time::Duration;

use collab_spec::message::{OpSubmission, SyncKind};
use collab_spec::profile::Profile;
use serde_json::json;

use crate::case::{Case, Weight};
use crate::client::{Ask, Client, ROOT};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};

use super::follow::{letters, type_on};
use super::resume::{RESUME, announces, follow_announced};

/// How long a server may take to end in good order.
const ENDS: Duration = Duration::from_secs(10);

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let about = &[
        ids::RESUME_NEW_HISTORY,
        ids::RESUME_OTHER_EPOCH,
        ids::RESUME_ONE_EPOCH,
    ];
    let cases = [
        Case::code(
            "resume/killed",
            "after SIGKILL a server names another epoch, or has every op that it has echoed",
            about,
            |context| ended(context, Ending::Kill),
        ),
        Case::code(
            "resume/restarted",
            "after SIGTERM and a start a server names another epoch, or has every op that it has echoed",
            about,
            |context| ended(context, Ending::Terminate),
        ),
        Case::code(
            "resume/killed-with-nothing-written",
            "the epoch of an empty document that was killed stands for no other history",
            about,
            nothing_written,
        ),
        Case::code(
            "resume/killed-twice",
            "of three lives of a server none is taken for another",
            about,
            killed_twice,
        ),
        Case::code(
            "resume/killed-and-overtaken",
            "a client of the life before is told so below, at and above the head of the new one",
            about,
            overtaken,
        ),
        Case::code(
            "resume/killed-in-mid-typing",
            "whatever had arrived at a server that was killed, no op that it has echoed is lost in its epoch",
            about,
            in_mid_typing,
        ),
        Case::code(
            "resume/killed-and-op-of-before",
            "an op of an epoch that is gone is refused with 1008",
            &[ids::RESUME_OTHER_OP_EPOCH, ids::RESUME_NEW_HISTORY],
            op_of_before,
        ),
    ];
    let own = |case: Case| {
        case.own_server()
            .weight(Weight::Heavy)
            .profile(Profile::Resume)
    };
    cases.into_iter().map(own).collect()
}

/// What was echoed in each epoch that the server has named.
#[derive(Default)]
struct Epochs(BTreeMap<String, Vec<OpSubmission>>);

impl Epochs {
    /// Types `length` characters behind what the epoch holds, in one connection; gives the epoch.
    async fn type_on(
        &mut self,
        context: &Context,
        name: &str,
        length: usize,
    ) -> Outcome<(String, Client)> {
        let mut client = context.join_asking(name, RESUME).await?;
        let epoch = client.epoch()?;
        self.check(&client)?;
        let history = self.0.entry(epoch.clone()).or_default();
        let typed = type_on(&mut client, &super::follow::end_of(history), length);
        client.expect_echoes_of(&typed, ids::SEQ_FAN_OUT).await?;
        history.extend(typed);
        Ok((epoch, client))
    }

    /// A server that names an epoch that it has named before has its history.
    fn check(&self, client: &Client) -> Outcome {
        let epoch = client.epoch()?;
        let Some(history) = self.0.get(&epoch) else {
            return Ok(());
        };
        if client.head() == history.len() as u64 {
            return Ok(());
        }
        Err(mixed(client, &epoch)
            .expected(format!(
                "the head {}, since so many ops were echoed in this epoch; or another epoch",
                history.len()
            ))
            .got(format!("the head {}", client.head())))
    }

    /// A client comes back with an epoch and what it has seen in it: it gets what it has missed of
    /// the same history, or is told by another epoch and a resync that it is gone.
    async fn come_back(&self, context: &Context, name: &str, seen: u64, epoch: &str) -> Outcome {
        let ask = Ask::of(RESUME).seen(seen).epoch(epoch);
        let mut back = context.reconnect_asking(name, name, &ask).await?;
        self.check(&back)?;
        let head = back.head();
        if back.epoch()? != epoch {
            announces(&back, SyncKind::Resync, ids::RESUME_OTHER_EPOCH)?;
            back.expect_resync(ids::RESUME_OTHER_EPOCH).await?;
        } else if seen == 0 || seen > head {
            let requirement = match seen {
                0 => ids::RESUME_ZERO,
                _ => ids::RESUME_BEYOND_HEAD,
            };
            announces(&back, SyncKind::Resync, requirement)?;
            back.expect_resync(requirement).await?;
            self.check_text(&back, epoch)?;
        } else {
            let history = self.0.get(epoch).map_or(&[][..], Vec::as_slice);
            let followed = follow_announced(&mut back, seen, history).await;
            followed.map_err(|failure| failure.unless_late(ids::RESUME_NEW_HISTORY))?;
        }
        back.close().await
    }

    /// The text of a resync is what was echoed in the epoch; every case types forward.
    fn check_text(&self, client: &Client, epoch: &str) -> Outcome {
        let history = self.0.get(epoch).map_or(&[][..], Vec::as_slice);
        let text = text_of(history);
        let resync = client.synced();
        if resync.full_text == text {
            return Ok(());
        }
        Err(mixed(client, epoch)
            .at(client.synced_at())
            .expected(text)
            .got(&resync.full_text))
    }
}

fn mixed(client: &Client, epoch: &str) -> Failure {
    let what = format!(
        "the server names the epoch {epoch:?} to {}, as it did before it ended, and has another \
         history",
        client.name()
    );
    Failure::breach(ids::RESUME_NEW_HISTORY, what)
}

/// The text that a history of typing makes.
fn text_of(history: &[OpSubmission]) -> String {
    let typed = history
        .iter()
        .filter_map(|submission| match &submission.op {
            collab_spec::message::Op::Ins(insert) => Some(insert.value.as_str()),
            collab_spec::message::Op::Del(_) => None,
        });
    typed.collect()
}

/// How a case ends its server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Kill,
    Terminate,
}

async fn ended(context: Context, ending: Ending) -> Outcome {
    let mut epochs = Epochs::default();
    let (epoch, _anna) = epochs.type_on(&context, "anna", 20).await?;
    if ending == Ending::Terminate {
        context.terminate_server()?;
        // One that does not end is killed; what it has lost is the same matter.
        context.server_ended_within(ENDS).await?;
    }
    context.restart_server().await?;
    for seen in [0, 1, 10, 19, 20, 21, 30] {
        let name = format!("from-{seen}");
        epochs.come_back(&context, &name, seen, &epoch).await?;
    }
    // Life goes on in whichever history it is.
    let (after, bo) = epochs.type_on(&context, "bo", 5).await?;
    bo.close().await?;
    epochs.come_back(&context, "bo-again", 1, &after).await
}

async fn nothing_written(context: Context) -> Outcome {
    let mut epochs = Epochs::default();
    let (empty, _anna) = epochs.type_on(&context, "anna", 0).await?;
    context.restart_server().await?;
    epochs.come_back(&context, "anna-again", 0, &empty).await?;
    let (second, _bo) = epochs.type_on(&context, "bo", 5).await?;
    for seen in [0, 3, 5, 6] {
        let name = format!("from-{seen}");
        epochs.come_back(&context, &name, seen, &empty).await?;
    }
    context.restart_server().await?;
    for epoch in [&empty, &second] {
        epochs.come_back(&context, "late", 3, epoch).await?;
    }
    Ok(())
}

async fn killed_twice(context: Context) -> Outcome {
    let mut epochs = Epochs::default();
    let mut named = Vec::new();
    for (name, length) in [("anna", 5), ("bo", 8), ("carl", 3)] {
        if !named.is_empty() {
            context.restart_server().await?;
        }
        let (epoch, _client) = epochs.type_on(&context, name, length).await?;
        named.push(epoch);
        for epoch in &named {
            for seen in [2, 8] {
                let back = format!("{name}-sees-{seen}");
                epochs.come_back(&context, &back, seen, epoch).await?;
            }
        }
    }
    Ok(())
}

async fn overtaken(context: Context) -> Outcome {
    let mut epochs = Epochs::default();
    let (before, _anna) = epochs.type_on(&context, "anna", 20).await?;
    context.restart_server().await?;
    let (_, bo) = epochs.type_on(&context, "bo", 30).await?;
    let head = epochs.0.get(&bo.epoch()?).map_or(0, Vec::len) as u64;
    for seen in [10, 20, 29, head, head + 1] {
        let name = format!("from-{seen}");
        epochs.come_back(&context, &name, seen, &before).await?;
    }
    Ok(())
}

async fn in_mid_typing(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", RESUME).await?;
    let epoch = anna.epoch()?;
    let typed = type_on(&mut anna, &ROOT, 3_000);
    anna.expect_echoes(50, ids::SEQ_FAN_OUT).await?;
    context.restart_server().await?;
    let rest = anna.expect_echoes_until_close(&[1006], ids::CLOSE_TABLE_ONLY);
    let echoed = 50 + rest.await?.len();

    let ask = Ask::of(RESUME).seen(echoed as u64).epoch(&epoch);
    let mut back = context.reconnect_asking("anna-again", "anna", &ask).await?;
    if back.epoch()? != epoch {
        announces(&back, SyncKind::Resync, ids::RESUME_OTHER_EPOCH)?;
        back.expect_resync(ids::RESUME_OTHER_EPOCH).await?;
        return Ok(());
    }
    let head = back.head() as usize;
    if !(echoed..=typed.len()).contains(&head) {
        return Err(mixed(&back, &epoch)
            .expected(format!(
                "a head from {echoed}, since so many ops were echoed"
            ))
            .got(format!("the head {head}")));
    }
    let followed = follow_announced(&mut back, echoed as u64, &typed[..head]).await;
    followed.map_err(|failure| failure.unless_late(ids::RESUME_NEW_HISTORY))?;
    let late = context.join("late").await?;
    if late.synced().full_text == letters(head) {
        return Ok(());
    }
    Err(mixed(&back, &epoch)
        .at(late.synced_at())
        .expected(letters(head))
        .got(&late.synced().full_text))
}

async fn op_of_before(context: Context) -> Outcome {
    let mut epochs = Epochs::default();
    let (before, _anna) = epochs.type_on(&context, "anna", 5).await?;
    context.restart_server().await?;
    let (now, _bo) = epochs.type_on(&context, "bo", 5).await?;
    let mut late = context.join_asking("late", RESUME).await?;
    let mut submission = late.insert(&ROOT, 'x');
    submission.epoch = Some(json!(before));
    late.submit(&submission);
    if before == now {
        let echoed = late.expect_echo(&submission, "resume.op-epoch").await;
        return echoed.map(drop);
    }
    late.expect_close(&[1008], ids::RESUME_OTHER_OP_EPOCH)
        .await?;
    Ok(())
}
