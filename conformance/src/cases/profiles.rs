//! Profiles beside each other: on one connection, and on the connections of one document.

use collab_spec::message::{OpSubmission, SyncKind};
use collab_spec::profile::Profile;
use serde_json::{Value, json};

use crate::case::Case;
use crate::client::{Ask, Client, ROOT, element};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};

use super::follow::{end_of, follow, type_on};
use super::runs::{View, due, expect_due};

const ALL: [Profile; 3] = [Profile::Resume, Profile::State, Profile::Presence];

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::code(
            "profiles/all-combinations",
            "sixteen connections, one for each choice of the four profiles, share a document",
            &["profiles.mixed", ids::PROFILES_ACK, ids::PROFILES_OFF],
            all_combinations,
        )
        .profile(Profile::Runs)
        .needs(&[Profile::Resume, Profile::State, Profile::Presence]),
        Case::code(
            "profiles/order-of-asking",
            "the order in which profiles are asked for, and unknown ones between them, change nothing",
            &[ids::PROFILES_ACK, "profiles.unknown-ignored"],
            order_of_asking,
        )
        .profile(Profile::Resume)
        .needs(&[Profile::State, Profile::Presence]),
        Case::code(
            "profiles/all-on-one",
            "a connection with all profiles gets epoch, state and snapshot, and at the head only the snapshot",
            &[
                ids::RESUME_AT_HEAD,
                ids::STATE_IN_RESYNC,
                ids::PRESENCE_SNAPSHOT,
            ],
            all_on_one,
        )
        .profile(Profile::Resume)
        .needs(&[Profile::State, Profile::Presence]),
        Case::code(
            "profiles/state-of-every-resync",
            "with `resume` every reason for a resync brings the state, what waits in it included",
            &[ids::STATE_IN_RESYNC, ids::STATE_PENDING, ids::RESUME_OTHER_EPOCH],
            state_of_every_resync,
        )
        .profile(Profile::State)
        .needs(&[Profile::Resume]),
        Case::code(
            "profiles/ops-beside-offers",
            "a connection without profiles is served the same while others use them all",
            &[ids::PROFILES_OFF, "profiles.mixed"],
            ops_beside_offers,
        )
        .profile(Profile::Presence)
        .needs(&[Profile::Resume, Profile::State]),
    ]
}

/// Every choice of the four profiles.
fn combinations() -> Vec<Vec<Profile>> {
    let every = Profile::ALL
        .into_iter()
        .filter(|profile| *profile != Profile::Core);
    every.fold(vec![Vec::new()], |chosen, profile| {
        let with = |without: &Vec<Profile>| [&without[..], &[profile]].concat();
        let more: Vec<_> = chosen.iter().map(with).collect();
        [chosen, more].concat()
    })
}

async fn all_combinations(context: Context) -> Outcome {
    let combinations = combinations();
    let mut clients = Vec::new();
    for (number, profiles) in combinations.iter().enumerate() {
        let client = context
            .join_asking(&format!("c-{number}"), profiles)
            .await?;
        granted(&client, profiles)?;
        clients.push((client, profiles));
    }
    let has = |profiles: &[Profile], profile| profiles.contains(&profile);
    // Everyone writes, in runs where they are on, and all get it in their way.
    let mut history: Vec<OpSubmission> = Vec::new();
    for writer in 0..clients.len() {
        let (client, profiles) = &mut clients[writer];
        let parent = end_of(&history);
        let submission = match has(profiles, Profile::Runs) {
            true => client.insert_run(&parent, "xyz"),
            false => client.insert(&parent, 'x'),
        };
        client.submit(&submission);
        let head: u64 = history.iter().map(|sent| sent.op.elements()).sum();
        history.push(submission);
        for (client, profiles) in &mut clients {
            let view = match has(profiles, Profile::Runs) {
                true => View::Whole,
                false => View::OneByOne,
            };
            expect_due(client, &due(&history, head, view), "profiles.mixed").await?;
        }
    }
    // And those who can show something do.
    let shows: Vec<usize> = (0..clients.len())
        .filter(|&number| has(clients[number].1, Profile::Presence))
        .collect();
    for &shower in &shows {
        let (name, state) = (format!("c-{shower}"), json!({"from": shower}));
        clients[shower].0.send_presence(&state);
        for &other in shows.iter().filter(|other| **other != shower) {
            let client = &mut clients[other].0;
            client
                .expect_presence(&name, &state, ids::PRESENCE_PASSED_ON)
                .await?;
        }
    }
    let (first, others) = clients.split_first_mut().ok_or_else(no_clients)?;
    let mut others: Vec<&mut Client> = others.iter_mut().map(|(client, _)| client).collect();
    first.0.barrier(&mut others, ids::PROFILES_OFF).await?;
    // The same again, now with a text.
    let text = combinations.iter().map(|profiles| {
        if has(profiles, Profile::Runs) {
            "xyz"
        } else {
            "x"
        }
    });
    let text: String = text.collect();
    for (number, profiles) in combinations.iter().enumerate() {
        let late = context
            .join_asking(&format!("late-{number}"), profiles)
            .await?;
        granted(&late, profiles)?;
        if late.synced().full_text != text {
            let what = "what a connection asks for changes its text";
            return Err(Failure::breach("profiles.mixed", what)
                .expected(text)
                .got(&late.synced().full_text)
                .at(late.synced_at()));
        }
    }
    Ok(())
}

fn no_clients() -> Failure {
    Failure::Harness("there are no clients".to_owned())
}

/// The ack grants these profiles and no other.
fn granted(client: &Client, profiles: &[Profile]) -> Outcome {
    let mut wanted: Vec<&str> = profiles.iter().map(|profile| profile.name()).collect();
    let mut got: Vec<&str> = client
        .acked()
        .capabilities
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    wanted.sort_unstable();
    got.sort_unstable();
    if wanted == got {
        return Ok(());
    }
    let what = format!("the ack of {} turns on other profiles", client.name());
    Err(Failure::breach(ids::PROFILES_ACK, what)
        .expected(wanted.join(", "))
        .got(got.join(", ")))
}

async fn order_of_asking(context: Context) -> Outcome {
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for (number, order) in orders.into_iter().enumerate() {
        let mut names: Vec<&str> = order.iter().map(|&place| ALL[place].name()).collect();
        names.insert(number % 4, "x-unknown");
        let name = format!("c-{number}");
        let mut client = context.connect(&name).await?;
        let hello = json!({"type": "hello", "doc_id": context.doc_id(), "client_id": name,
            "capabilities": names});
        client.send_json(&hello);
        client.expect_joined_asking(&Ask::of(&ALL)).await?;
        granted(&client, &ALL)?;
    }
    Ok(())
}

async fn all_on_one(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", &ALL).await?;
    let epoch = anna.epoch()?;
    anna.state()?;
    let history = type_on(&mut anna, &ROOT, 5);
    anna.expect_echoes_of(&history, ids::SEQ_FAN_OUT).await?;
    let state = json!({"cursor": {"anchor_id": history[4].op.id(), "affinity": "right"}});
    anna.send_presence(&state);
    anna.barrier(&mut [], ids::PRESENCE_PASSED_ON).await?;
    for (name, seen) in [("at-head", 7), ("behind", 6), ("new", 0)] {
        let ask = Ask::of(&ALL).seen(seen).epoch(&epoch);
        let mut bo = context.reconnect_asking(name, name, &ask).await?;
        match (seen, bo.acked().sync) {
            (7, Some(SyncKind::Replay)) => {}
            (6, Some(SyncKind::Replay)) => drop(bo.expect_echoes(1, ids::RESUME_REPLAY).await?),
            (0 | 6, Some(SyncKind::Resync)) => {
                bo.expect_resync(ids::RESUME_REPLAY).await?;
                bo.state()?;
            }
            (_, sync) => {
                let what = format!("the ack of {name} announces another sync");
                return Err(Failure::breach(ids::RESUME_AT_HEAD, what).got(format!("{sync:?}")));
            }
        }
        let snapshot = bo.expect_snapshot().await?;
        let held = snapshot
            .states
            .iter()
            .find(|(client, _)| client.as_str() == "anna");
        let held = held.map_or(Value::Null, |(_, state)| Value::Object(state.clone()));
        if held != state {
            let what = format!("the snapshot of {name} has not anna's state");
            return Err(Failure::breach(ids::PRESENCE_SNAPSHOT, what)
                .expected(state.to_string())
                .got(held.to_string()));
        }
    }
    anna.barrier(&mut [], ids::PRESENCE_PASSED_ON).await
}

async fn state_of_every_resync(context: Context) -> Outcome {
    let both = [Profile::Resume, Profile::State];
    let mut anna = context.join_asking("anna", &both).await?;
    let epoch = anna.epoch()?;
    let mut history = type_on(&mut anna, &ROOT, 6);
    let waiting = [
        anna.delete(&element(77, "nobody")),
        anna.insert_at(
            99,
            &collab_spec::id::ParentId::Element(element(78, "nobody")),
            'w',
        ),
    ];
    anna.submit_all(&waiting);
    history.extend(waiting);
    anna.expect_echoes_of(&history, ids::SEQ_FAN_OUT).await?;
    for (name, ask, requirement) in [
        ("new", Ask::of(&both).epoch(&epoch), ids::RESUME_ZERO),
        ("no-epoch", Ask::of(&both).seen(3), ids::RESUME_NO_EPOCH),
        (
            "no-epoch-at-head",
            Ask::of(&both).seen(8),
            ids::RESUME_NO_EPOCH,
        ),
        (
            "other-epoch",
            Ask::of(&both).seen(8).epoch("another"),
            ids::RESUME_OTHER_EPOCH,
        ),
        (
            "beyond",
            Ask::of(&both).seen(9).epoch(&epoch),
            ids::RESUME_BEYOND_HEAD,
        ),
    ] {
        let mut bo = context.reconnect_asking(name, name, &ask).await?;
        bo.expect_resync(requirement).await?;
        let pending = bo.state()?.pending.len();
        if pending != 2 {
            let what = format!("{pending} ops wait in the state of {name}");
            return Err(Failure::breach(ids::STATE_PENDING, what)
                .expected("2")
                .at(bo.synced_at()));
        }
    }
    let ask = Ask::of(&both).seen(8).epoch(&epoch);
    let mut bo = context.reconnect_asking("at-head", "at-head", &ask).await?;
    anna.barrier(&mut [&mut bo], ids::RESUME_AT_HEAD).await
}

async fn ops_beside_offers(context: Context) -> Outcome {
    let mut plain = context.join("plain").await?;
    let mut rich = context.join_asking("rich", &ALL).await?;
    let epoch = rich.epoch()?;
    let mut history = Vec::new();
    for round in 0..20 {
        rich.send_presence(&json!({"round": round}));
        let mut submission = rich.insert(&ROOT, 'r');
        submission.epoch = Some(json!(epoch));
        rich.submit(&submission);
        let own = plain.insert(&ROOT, 'p');
        plain.expect_echo(&submission, ids::PROFILES_OFF).await?;
        plain.submit(&own);
        for client in [&mut plain, &mut rich] {
            let echoed = if client.name() == "rich" {
                vec![&submission, &own]
            } else {
                vec![&own]
            };
            client.expect_echoes_of(echoed, "profiles.mixed").await?;
        }
        history.extend([submission, own]);
    }
    let mut back = context.reconnect("back", "back", 1).await?;
    follow(&mut back, 1, &history, ids::PROFILES_OFF).await?;
    let mut at_head = context.reconnect("at-head", "at-head", 40).await?;
    at_head.expect_resync(ids::SYNC_AT_HEAD).await?;
    plain
        .barrier(&mut [&mut rich, &mut back, &mut at_head], ids::PROFILES_OFF)
        .await
}
