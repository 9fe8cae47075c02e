//! The profile `presence`: storms, sizes, who leaves how, and what is none of it.

use std::collections::BTreeMap;

use collab_spec::message::ServerMessage;
use collab_spec::profile::Profile;
use serde_json::{Value, json};

use crate::case::{Case, Weight};
use crate::client::{Ask, Client, ROOT, under};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::pattern::same;
use crate::validate::shortened;
use crate::wire::Buffers;

use super::follow::{end_of, follow, letters, type_on};

pub(super) const PRESENCE: &[Profile] = &[Profile::Presence];

/// The most bytes of a state, as compact UTF-8 JSON (`presence.takes-4k`).
const STATE_BYTES: usize = 4_096;

/// The cases of this file.
pub(super) fn cases() -> Vec<Case> {
    let cases = vec![
        Case::code(
            "presence/storm-to-a-stalled-reader",
            "a client that stops reading during 2,000 updates is not closed, and gets the newest",
            &[ids::PRESENCE_NEVER_SLOW, ids::PRESENCE_NEWEST],
            storm_to_a_stalled_reader,
        )
        .weight(Weight::Slow),
        Case::code(
            "presence/waiting-for-a-twin",
            "what a client shows takes nothing from what waits for it of others, nor does who has left",
            &[
                ids::PRESENCE_NEWEST,
                ids::PRESENCE_LEAVING,
                ids::PRESENCE_PASSED_ON,
            ],
            waiting_for_a_twin,
        )
        .weight(Weight::Slow),
        Case::code(
            "presence/storm-of-many",
            "of ten clients that show fifty states each at once, everyone has the newest of each",
            &[ids::PRESENCE_NEWEST, ids::PRESENCE_PASSED_ON],
            storm_of_many,
        ),
        Case::code(
            "presence/sizes-taken",
            "states of exactly 4,096 bytes are passed on, however they are written",
            &["presence.takes-4k", ids::PRESENCE_OPAQUE],
            sizes_taken,
        ),
        Case::code(
            "presence/sizes-refused",
            "states of 4,097 bytes end in 1009, however they are written, and nobody gets them",
            &["presence.too-big", "close.no-effect"],
            sizes_refused,
        ),
        Case::code(
            "presence/leaving",
            "a client that vanishes, closes or is closed is shown no more, to those with the profile alone",
            &[
                ids::PRESENCE_LEAVING,
                ids::PRESENCE_PASSED_ON,
                "session.vanished",
            ],
            leaving,
        ),
        Case::code(
            "presence/replaced",
            "twenty times an old connection dies without erasing the state of the client's new one",
            &["presence.replaced"],
            replaced,
        ),
        Case::code(
            "presence/fifty-clients",
            "a late joiner gets the states of fifty clients in one snapshot, and of those alone who stayed",
            &[ids::PRESENCE_SNAPSHOT, ids::PRESENCE_LEAVING],
            fifty_clients,
        ),
        Case::code(
            "presence/ephemeral",
            "when all have left, no state is left for who comes then",
            &["presence.ephemeral"],
            ephemeral,
        ),
        Case::code(
            "presence/anchors",
            "cursors at living, deleted, waiting and unknown elements are passed on unchanged",
            &["presence.anchors", ids::PRESENCE_OPAQUE],
            anchors,
        ),
        Case::code(
            "presence/ops-around-updates",
            "fifty ops around fifty updates have dense seqs, and no sync has anything else",
            &["presence.no-seq", ids::SEQ_FROM_BASELINE, "profiles.mixed"],
            no_seq,
        ),
        Case::code(
            "presence/snapshots-during-a-storm",
            "whoever joins in the midst of updates ends with the newest state, by snapshot or update",
            &[ids::PRESENCE_SNAPSHOT, ids::PRESENCE_NEWEST],
            snapshots_during_a_storm,
        ),
    ];
    cases
        .into_iter()
        .map(|case| case.profile(Profile::Presence))
        .collect()
}

/// Takes presence updates until the last of each of these clients is the one given.
pub(super) async fn until_newest(
    client: &mut Client,
    mut wanted: BTreeMap<String, Value>,
    requirement: &str,
) -> Outcome {
    let snapshot = client.snapshot().states.clone();
    wanted.retain(|name, state| {
        let held = snapshot.iter().find(|(held, _)| held.as_str() == name);
        !held.is_some_and(|(_, held)| same(&Value::Object(held.clone()), state))
    });
    while let Some((name, state)) = wanted.first_key_value() {
        let awaited = format!("the newest state of {name}, {state}");
        let awaited = shortened(&awaited, 300);
        let message = client.next_message(&awaited, requirement).await?;
        let ServerMessage::PresenceUpdate(update) = message.message else {
            let what = format!("{} got something else than presence", client.name());
            return Err(Failure::breach(requirement, what)
                .expected(awaited)
                .got(shortened(&message.received.text, 600))
                .at(message.event));
        };
        let state = update.state.map_or(Value::Null, Value::Object);
        if wanted
            .get(update.client_id.as_str())
            .is_some_and(|newest| same(newest, &state))
        {
            wanted.remove(update.client_id.as_str());
        }
    }
    Ok(())
}

/// Joins as a client that is going to stop reading: little fits into the buffers on its way.
pub(super) async fn join_small(context: &Context, client_id: &str) -> Outcome<Client> {
    let mut stalled = context.connect_with("stalled", Buffers::Small).await?;
    let ask = Ask::of(PRESENCE);
    stalled.hello_asking(context.doc_id(), client_id, &ask);
    stalled.expect_joined_asking(&ask).await?;
    Ok(stalled)
}

/// Shows 2,000 states of 4,000 bytes, one after the other: the newest of them, by its client.
pub(super) fn storm(client: &mut Client) -> BTreeMap<String, Value> {
    const COUNT: usize = 2_000;
    let state = |number: usize| json!({"n": number, "pad": "x".repeat(4_000)});
    for number in 0..COUNT {
        client.send_presence(&state(number));
    }
    BTreeMap::from([(client.client_id().to_owned(), state(COUNT - 1))])
}

async fn storm_to_a_stalled_reader(context: Context) -> Outcome {
    let mut stalled = join_small(&context, "stalled").await?;
    let mut witness = context.join_asking("witness", PRESENCE).await?;
    let mut anna = context.join_asking("anna", PRESENCE).await?;
    stalled.stop_reading();
    let newest = storm(&mut anna);
    until_newest(&mut witness, newest.clone(), ids::PRESENCE_NEWEST)
        .await
        .map_err(|failure| failure.unless_late(ids::PRESENCE_NEVER_SLOW))?;
    // Ops still get through to those who read.
    anna.barrier(&mut [&mut witness], ids::PRESENCE_NEVER_SLOW)
        .await?;
    stalled.resume_reading();
    // The barrier's echoes may stand before presence that waited.
    let mut last = Value::Null;
    let mut echoes = 0;
    while echoes < 2 || !same(&last, &newest["anna"]) {
        let awaited = "the newest state, and two echoes";
        let message = stalled
            .next_message(awaited, ids::PRESENCE_NEVER_SLOW)
            .await?;
        match message.message {
            ServerMessage::PresenceUpdate(update) => {
                last = update.state.map_or(Value::Null, Value::Object);
            }
            _ => echoes += 1,
        }
    }
    anna.barrier(&mut [&mut stalled, &mut witness], ids::PRESENCE_NEWEST)
        .await
}

/// The client `anna` has two connections. One does not read while the other, `bo` and a guest show
/// something, and then shows something itself.
async fn waiting_for_a_twin(context: Context) -> Outcome {
    let mut stalled = join_small(&context, "anna").await?;
    let mut witness = context.join_asking("witness", PRESENCE).await?;
    let mut bo = context.join_asking("bo", PRESENCE).await?;
    stalled.stop_reading();
    let newest = storm(&mut bo);
    until_newest(&mut witness, newest, ids::PRESENCE_NEWEST).await?;
    let ask = Ask::of(PRESENCE);
    let mut twin = context.reconnect_asking("twin", "anna", &ask).await?;
    twin.expect_resync(ids::SYNC_ZERO).await?;
    twin.expect_snapshot().await?;
    let mut guest = context.join_asking("guest", PRESENCE).await?;
    let shown = json!({"here": true});
    for client in [&mut twin, &mut guest] {
        client.send_presence(&shown);
        let name = client.client_id().to_owned();
        witness
            .expect_presence(&name, &shown, ids::PRESENCE_PASSED_ON)
            .await?;
    }
    guest.close().await?;
    witness
        .expect_presence("guest", &Value::Null, ids::PRESENCE_LEAVING)
        .await?;
    let own = json!({"from": "stalled"});
    stalled.send_presence(&own);
    witness
        .expect_presence("anna", &own, ids::PRESENCE_PASSED_ON)
        .await?;
    let last = json!({"last": true});
    bo.send_presence(&last);
    witness
        .expect_presence("bo", &last, ids::PRESENCE_PASSED_ON)
        .await?;
    stalled.resume_reading();
    let left = BTreeMap::from([("guest".to_owned(), Value::Null), ("bo".to_owned(), last)]);
    until_newest(&mut stalled, left, ids::PRESENCE_LEAVING).await
}

async fn storm_of_many(context: Context) -> Outcome {
    let mut clients = Vec::new();
    for number in 0..10 {
        clients.push(
            context
                .join_asking(&format!("c-{number}"), PRESENCE)
                .await?,
        );
    }
    let mut late = context.join_asking("late", PRESENCE).await?;
    for round in 0..50 {
        for client in &mut clients {
            client.send_presence(&json!({"round": round}));
        }
    }
    let names = clients.iter().map(|client| client.name().to_owned());
    let newest: BTreeMap<_, _> = names.map(|name| (name, json!({"round": 49}))).collect();
    for client in &mut clients {
        let mut others = newest.clone();
        others.remove(client.name());
        until_newest(client, others, ids::PRESENCE_NEWEST).await?;
    }
    until_newest(&mut late, newest, ids::PRESENCE_NEWEST).await?;
    let mut all: Vec<&mut Client> = clients.iter_mut().collect();
    late.barrier(&mut all, ids::PRESENCE_PASSED_ON).await
}

/// States of a length as compact UTF-8 JSON, and the text that a client writes each with.
fn states_of(bytes: usize) -> Vec<(&'static str, Value, String)> {
    let pad = bytes - r#"{"x":""}"#.len();
    let spaced = |value: &Value| {
        let text = value["x"].as_str().unwrap_or_default();
        format!("{{ \"x\" :\n \"{text}\" }}")
    };
    let plain = json!({"x": "a".repeat(pad)});
    let wide = json!({"x": "é".repeat(pad / 2) + &"a".repeat(pad % 2)});
    let astral = json!({"x": "😀".repeat(pad / 4) + &"a".repeat(pad % 4)});
    let quotes = json!({"x": "\"".repeat(pad / 2) + &"a".repeat(pad % 2)});
    let escaped = wide.to_string().replace('é', "\\u00e9");
    vec![
        ("plain", plain.clone(), plain.to_string()),
        ("spaced", plain.clone(), spaced(&plain)),
        ("wide", wide.clone(), wide.to_string()),
        ("escaped", wide, escaped),
        ("astral", astral.clone(), astral.to_string()),
        ("quotes", quotes.clone(), quotes.to_string()),
    ]
}

/// Shows a state as it is written.
fn send_written(client: &mut Client, state: &str) {
    let frame = client.presence(&json!("STATE")).to_string();
    client.send_text(&frame.replace("\"STATE\"", state));
}

async fn sizes_taken(context: Context) -> Outcome {
    let mut witness = context.join_asking("witness", PRESENCE).await?;
    let mut anna = context.join_asking("anna", PRESENCE).await?;
    for (_, state, written) in states_of(STATE_BYTES) {
        send_written(&mut anna, &written);
        witness
            .expect_presence("anna", &state, "presence.takes-4k")
            .await?;
    }
    anna.barrier(&mut [&mut witness], "presence.takes-4k").await
}

async fn sizes_refused(context: Context) -> Outcome {
    let mut witness = context.join_asking("witness", PRESENCE).await?;
    for (name, _, written) in states_of(STATE_BYTES + 1) {
        let mut anna = context.join_asking(name, PRESENCE).await?;
        send_written(&mut anna, &written);
        anna.expect_close(&[1009], "presence.too-big").await?;
    }
    witness.barrier(&mut [], "presence.too-big").await
}

async fn leaving(context: Context) -> Outcome {
    let mut plain = context.join("plain").await?;
    let mut witness = context.join_asking("witness", PRESENCE).await?;
    for way in ["vanishes", "closes", "is-closed", "shows-null"] {
        let mut anna = context.join_asking(way, PRESENCE).await?;
        let state = json!({"cursor": way});
        anna.send_presence(&state);
        witness
            .expect_presence(way, &state, ids::PRESENCE_PASSED_ON)
            .await?;
        match way {
            "vanishes" => anna.abandon().await,
            "closes" => anna.close().await?,
            "shows-null" => anna.send_presence(&Value::Null),
            _ => {
                anna.send_text("{");
                anna.expect_close(&[1002], "close.not-json").await?;
            }
        }
        witness
            .expect_presence(way, &Value::Null, ids::PRESENCE_LEAVING)
            .await?;
    }
    let late = context.join_asking("late", PRESENCE).await?;
    expect_states(&late, BTreeMap::new(), "presence.ephemeral")?;
    witness
        .barrier(&mut [&mut plain], ids::PRESENCE_PASSED_ON)
        .await
}

/// The last snapshot has exactly these states, the client's own aside.
pub(super) fn expect_states(
    client: &Client,
    wanted: BTreeMap<String, Value>,
    requirement: &str,
) -> Outcome {
    let got: BTreeMap<String, Value> = client
        .snapshot()
        .states
        .iter()
        .filter(|(name, _)| name.as_str() != client.client_id())
        .map(|(name, state)| (name.to_string(), Value::Object(state.clone())))
        .collect();
    let (expected, got) = (json!(wanted), json!(got));
    if same(&expected, &got) {
        return Ok(());
    }
    let what = format!(
        "the presence_snapshot of {} has other states",
        client.name()
    );
    Err(Failure::breach(requirement, what)
        .expected(shortened(&expected.to_string(), 600))
        .got(shortened(&got.to_string(), 600)))
}

async fn replaced(context: Context) -> Outcome {
    let mut witness = context.join_asking("witness", PRESENCE).await?;
    let ask = Ask::of(PRESENCE);
    let mut old: Option<Client> = None;
    for round in 0..20 {
        let name = format!("anna-{round}");
        let mut new = context.reconnect_asking(&name, "anna", &ask).await?;
        new.expect_resync(ids::SYNC_ZERO).await?;
        new.expect_snapshot().await?;
        let state = json!({"round": round});
        new.send_presence(&state);
        if let Some(old) = &mut old {
            // The other connection of the same client is another connection.
            old.expect_presence("anna", &state, ids::PRESENCE_PASSED_ON)
                .await?;
        }
        witness
            .expect_presence("anna", &state, "presence.replaced")
            .await?;
        match old.take() {
            Some(dying) if round % 2 == 0 => dying.abandon().await,
            Some(dying) => dying.close().await?,
            None => {}
        }
        let mut late = context
            .join_asking(&format!("late-{round}"), PRESENCE)
            .await?;
        let wanted = BTreeMap::from([("anna".to_owned(), state)]);
        expect_states(&late, wanted, "presence.replaced")?;
        witness
            .barrier(&mut [&mut new, &mut late], "presence.replaced")
            .await?;
        old = Some(new);
    }
    Ok(())
}

async fn fifty_clients(context: Context) -> Outcome {
    let mut witness = context.join_asking("witness", PRESENCE).await?;
    let mut clients = Vec::new();
    let mut states = BTreeMap::new();
    for number in 0..50 {
        let name = format!("c-{number}");
        // Each gets the updates of all who come later; nobody reads them here.
        let mut client = context.join_asking(&name, PRESENCE).await?;
        let state = json!({"cursor": {"anchor_id": [number + 1, name]}, "name": name});
        client.send_presence(&state);
        witness
            .expect_presence(&name, &state, ids::PRESENCE_PASSED_ON)
            .await?;
        states.insert(name, state);
        clients.push(client);
    }
    let late = context.join_asking("late", PRESENCE).await?;
    expect_states(&late, states.clone(), ids::PRESENCE_SNAPSHOT)?;
    for client in clients.drain(..10) {
        states.remove(client.name());
        let name = client.name().to_owned();
        client.abandon().await;
        witness
            .expect_presence(&name, &Value::Null, ids::PRESENCE_LEAVING)
            .await?;
    }
    let last = context.join_asking("last", PRESENCE).await?;
    expect_states(&last, states, ids::PRESENCE_SNAPSHOT)
}

async fn ephemeral(context: Context) -> Outcome {
    for round in 0..10 {
        let mut anna = context.join_asking("anna", PRESENCE).await?;
        let mut bo = context.join_asking("bo", PRESENCE).await?;
        let state = json!({"round": round});
        anna.send_presence(&state);
        bo.expect_presence("anna", &state, ids::PRESENCE_PASSED_ON)
            .await?;
        let pair = bo.send_barrier();
        for client in [&mut anna, &mut bo] {
            client
                .expect_barrier(&pair, ids::PRESENCE_PASSED_ON)
                .await?;
        }
        anna.close().await?;
        bo.close().await?;
        // The server may notice the end of a connection later; then it has to say so.
        let mut late = context.join_asking("late", PRESENCE).await?;
        let held = late
            .snapshot()
            .states
            .keys()
            .any(|name| name.as_str() == "anna");
        if held {
            late.expect_presence("anna", &Value::Null, "presence.ephemeral")
                .await?;
        }
        late.barrier(&mut [], "presence.ephemeral").await?;
        late.close().await?;
    }
    Ok(())
}

async fn anchors(context: Context) -> Outcome {
    let mut witness = context.join_asking("witness", PRESENCE).await?;
    let mut anna = context.join_asking("anna", PRESENCE).await?;
    let typed = type_on(&mut anna, &ROOT, 4);
    let waiting = anna.insert_at(900, &under(&anna.insert_at(800, &ROOT, 'n')), 'w');
    let delete = anna.delete(typed[1].op.id());
    anna.submit(&waiting);
    anna.submit(&delete);
    let ops = [typed.clone(), vec![waiting.clone(), delete]].concat();
    for client in [&mut anna, &mut witness] {
        client.expect_echoes_of(&ops, ids::SEQ_FAN_OUT).await?;
    }
    for anchor in [
        json!(typed[0].op.id()),
        json!(typed[1].op.id()),
        json!(waiting.op.id()),
        json!([800, "anna"]),
        json!([7, "nobody"]),
        json!([0, "root"]),
        json!([9_007_199_254_740_991_u64, "anna"]),
        json!("no element at all"),
        Value::Null,
    ] {
        for affinity in ["left", "right"] {
            let cursor = json!({"anchor_id": anchor, "affinity": affinity});
            let state = json!({"cursor": cursor, "selection": cursor});
            anna.send_presence(&state);
            witness
                .expect_presence("anna", &state, "presence.anchors")
                .await?;
        }
    }
    anna.barrier(&mut [&mut witness], "presence.anchors").await
}

async fn no_seq(context: Context) -> Outcome {
    let mut plain = context.join("plain").await?;
    let mut witness = context.join_asking("witness", PRESENCE).await?;
    let mut anna = context.join_asking("anna", PRESENCE).await?;
    let mut history = Vec::new();
    for number in 0..50 {
        let state = json!({"n": number});
        anna.send_presence(&state);
        let typed = type_on(&mut anna, &end_of(&history), 1);
        anna.expect_echoes_of(&typed, "presence.no-seq").await?;
        history.extend(typed);
    }
    plain.expect_echoes_of(&history, ids::PROFILES_OFF).await?;
    let echoes = echoes_of(&mut witness, 50, &json!({"n": 49})).await?;
    if echoes != (1..=50).collect::<Vec<u64>>() {
        let what = "the seqs of fifty ops around presence are not 1 to 50";
        return Err(Failure::breach("presence.no-seq", what).got(format!("{echoes:?}")));
    }
    let mut back = context.reconnect("back", "back", 1).await?;
    follow(&mut back, 1, &history, "presence.no-seq").await?;
    let ask = Ask::of(PRESENCE).seen(1);
    let mut with = context
        .reconnect_asking("back-with", "back-with", &ask)
        .await?;
    follow(&mut with, 1, &history, "presence.no-seq").await?;
    with.expect_snapshot().await?;
    let wanted = BTreeMap::from([("anna".to_owned(), json!({"n": 49}))]);
    expect_states(&with, wanted, ids::PRESENCE_SNAPSHOT)?;
    let late = context.join("late").await?;
    if late.synced().full_text != letters(1).repeat(50) {
        let what = "the text beside presence is another";
        return Err(Failure::breach(ids::RESYNC_TEXT, what).at(late.synced_at()));
    }
    anna.barrier(
        &mut [&mut plain, &mut witness, &mut back, &mut with],
        "presence.no-seq",
    )
    .await
}

/// Takes messages until `count` echoes and the newest state have come: the seqs of the echoes.
async fn echoes_of(client: &mut Client, count: usize, newest: &Value) -> Outcome<Vec<u64>> {
    let mut seqs = Vec::new();
    let mut last = Value::Null;
    while seqs.len() < count || !same(&last, newest) {
        let awaited = format!("{count} echoes, and the state {newest}");
        let message = client.next_message(&awaited, ids::PRESENCE_NEWEST).await?;
        match message.message {
            ServerMessage::OpEcho(echo) => seqs.push(echo.server_seq.value()),
            ServerMessage::PresenceUpdate(update) => {
                last = update.state.map_or(Value::Null, Value::Object);
            }
            _ => {}
        }
    }
    Ok(seqs)
}

async fn snapshots_during_a_storm(context: Context) -> Outcome {
    let mut anna = context.join_asking("anna", PRESENCE).await?;
    let mut joining = Vec::new();
    let ask = Ask::of(PRESENCE);
    for number in 0..20 {
        let mut bo = context.connect(&format!("join-{number}")).await?;
        bo.hello_asking(context.doc_id(), &format!("c-{number}"), &ask);
        for step in 0..10 {
            anna.send_presence(&json!({"n": 10 * number + step}));
        }
        joining.push(bo);
    }
    let newest = BTreeMap::from([("anna".to_owned(), json!({"n": 199}))]);
    for bo in &mut joining {
        bo.expect_joined_asking(&ask).await?;
        until_newest(bo, newest.clone(), ids::PRESENCE_NEWEST).await?;
    }
    let mut all: Vec<&mut Client> = joining.iter_mut().collect();
    anna.barrier(&mut all, ids::PRESENCE_NEWEST).await
}
