//! Many clients in one document: fewer than the files that a system lets a process have open.

use std::collections::BTreeMap;

use collab_spec::profile::Profile;
use serde_json::{Value, json};

use crate::case::{Case, Weight};
use crate::context::Context;
use crate::ids;
use crate::outcome::Outcome;

use super::presence::{PRESENCE, expect_states, join_small, storm, until_newest};

/// How many clients there are, and how many of them leave. Of those who stay more than 64 wait for one
/// connection (`presence.leaving`).
const CROWD: usize = 80;
const LEAVING: usize = 10;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::code(
            "presence/leaving-behind-a-crowd",
            "who had shown something and leaves is shown no more to a client for which eighty others wait",
            &[
                ids::PRESENCE_LEAVING,
                ids::PRESENCE_NEWEST,
                ids::PRESENCE_PASSED_ON,
            ],
            leaving_behind_a_crowd,
        )
        .profile(Profile::Presence)
        .weight(Weight::Slow),
        Case::code(
            "presence/snapshot-of-150",
            "a newcomer gets the states of 150 clients in its snapshot",
            &[ids::PRESENCE_SNAPSHOT],
            snapshot_of_150,
        )
        .profile(Profile::Presence)
        .weight(Weight::Slow),
    ]
}

async fn leaving_behind_a_crowd(context: Context) -> Outcome {
    let mut stalled = join_small(&context, "stalled").await?;
    let mut witness = context.join_asking("witness", PRESENCE).await?;
    let mut anna = context.join_asking("anna", PRESENCE).await?;
    let mut bo = context.join_asking("bo", PRESENCE).await?;
    let shown = json!({"here": true});
    // In this order: whose state is how old must not matter.
    for (client, name) in [(&mut bo, "bo"), (&mut anna, "anna")] {
        client.send_presence(&shown);
        for other in [&mut stalled, &mut witness] {
            other
                .expect_presence(name, &shown, ids::PRESENCE_PASSED_ON)
                .await?;
        }
    }
    stalled.stop_reading();
    let newest = storm(&mut bo);
    until_newest(&mut witness, newest, ids::PRESENCE_NEWEST).await?;

    let mut crowd = Vec::with_capacity(CROWD);
    for number in 0..CROWD {
        let mut client = context
            .join_asking(&format!("c-{number}"), PRESENCE)
            .await?;
        client.send_presence(&shown);
        witness
            .expect_presence(client.name(), &shown, ids::PRESENCE_PASSED_ON)
            .await?;
        crowd.push(client);
    }
    let mut leaving = crowd.split_off(CROWD - LEAVING);
    leaving.push(anna);
    for client in leaving {
        let name = client.name().to_owned();
        client.close().await?;
        witness
            .expect_presence(&name, &Value::Null, ids::PRESENCE_LEAVING)
            .await?;
    }
    let last = json!({"last": true});
    bo.send_presence(&last);
    witness
        .expect_presence("bo", &last, ids::PRESENCE_PASSED_ON)
        .await?;

    stalled.resume_reading();
    // Those of the crowd who left were never heard of.
    let stay = crowd
        .iter()
        .map(|client| (client.name().to_owned(), shown.clone()));
    let mut wanted: BTreeMap<_, _> = stay.collect();
    wanted.insert("anna".to_owned(), Value::Null);
    wanted.insert("bo".to_owned(), last);
    until_newest(&mut stalled, wanted, ids::PRESENCE_LEAVING).await
}

async fn snapshot_of_150(context: Context) -> Outcome {
    let mut witness = context.join_asking("witness", PRESENCE).await?;
    let mut clients = Vec::with_capacity(150);
    let mut states = BTreeMap::new();
    for number in 0..150 {
        let mut client = context
            .join_asking(&format!("c-{number}"), PRESENCE)
            .await?;
        let state = json!({"n": number});
        client.send_presence(&state);
        witness
            .expect_presence(client.name(), &state, ids::PRESENCE_PASSED_ON)
            .await?;
        states.insert(client.name().to_owned(), state);
        clients.push(client);
    }
    let late = context.join_asking("late", PRESENCE).await?;
    expect_states(&late, states, ids::PRESENCE_SNAPSHOT)
}
