//! Plays a row of a table of frames: one message of a client, valid or not.

use collab_spec::frame::{FrameTable, MessageType};
use collab_spec::message::ClientMessage;
use collab_spec::profile::Profile;
use serde_json::{Value, json};

use crate::client::{Client, echo_pattern};
use crate::context::Context;
use crate::ids;
use crate::outcome::{Failure, Outcome};
use crate::pattern::interpolate_text;
use crate::validate;

/// A row of a table, with the message of its table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The message that it is, or fails to be.
    pub message: MessageType,
    /// Its name in the table.
    pub name: String,
    /// The text message.
    pub text: String,
    /// The profile that is on where it is sent.
    pub profile: Profile,
    /// Whether it is valid.
    pub valid: bool,
    /// The requirements that it tests.
    pub requirements: Vec<String>,
}

impl Row {
    /// The id of the row's case.
    pub fn id(&self) -> String {
        format!(
            "frames/{}-{}",
            self.message.name().replace('_', "-"),
            self.name
        )
    }

    /// What a right server does.
    pub fn title(&self) -> String {
        let what = self.name.replace('-', " ");
        let message = self.message.name();
        match (self.valid, self.message) {
            (true, MessageType::PresenceUpdate) => format!("{message}, {what}: passed on"),
            (true, MessageType::Hello) => format!("{message}, {what}: acked and synced"),
            (true, _) => format!("{message}, {what}: accepted and echoed"),
            (false, _) => format!("{message}, {what}: closed with 1002"),
        }
    }

    fn requirement(&self) -> &str {
        self.requirements.first().map_or("", String::as_str)
    }
}

/// The rows of a table that a client sends.
pub fn rows(table: &FrameTable) -> Vec<Row> {
    if !table.message.is_client() {
        return Vec::new();
    }
    table
        .frames
        .iter()
        .map(|row| Row {
            message: table.message,
            name: row.name.clone(),
            text: row.text.clone(),
            profile: row.profile,
            valid: row.valid,
            requirements: row.requirements.clone(),
        })
        .collect()
}

/// Sends the message of a row, with a bystander in the document who has the row's profile as well.
pub async fn play(row: &Row, context: Context) -> Outcome {
    let text = interpolate_text(&row.text, context.doc_id());
    let mut bystander = join(row, &context, "bystander").await?;
    let mut client = match row.message {
        MessageType::Hello => context.connect("A").await?,
        _ => join(row, &context, "A").await?,
    };
    client.send_text(&text);
    if row.valid {
        accepted(row, &text, &mut client, &mut bystander).await?;
    } else {
        client.expect_close(&[1002], row.requirement()).await?;
    }
    let requirement = if row.valid {
        row.requirement()
    } else {
        ids::CLOSE_ISOLATED
    };
    bystander.barrier(&mut [], requirement).await
}

async fn join(row: &Row, context: &Context, name: &str) -> Outcome<Client> {
    match row.profile {
        Profile::Core => context.join(name).await,
        profile => context.join_asking(name, &[profile]).await,
    }
}

async fn accepted(row: &Row, text: &str, client: &mut Client, bystander: &mut Client) -> Outcome {
    match validate::client_message(text, &[row.profile]) {
        Some(ClientMessage::Hello(hello)) => {
            let pattern = json!({"type": "hello_ack", "doc_id": hello.doc_id});
            client.expect(&pattern, row.requirement()).await?;
            let pattern = json!({"type": "resync", "doc_id": hello.doc_id});
            client.expect(&pattern, row.requirement()).await.map(drop)
        }
        Some(ClientMessage::Op(submission)) => {
            let pattern = echo_pattern(&submission, None);
            client.expect(&pattern, row.requirement()).await?;
            bystander
                .expect(&pattern, row.requirement())
                .await
                .map(drop)
        }
        Some(ClientMessage::PresenceUpdate(update)) => {
            let state = update.state.map_or(Value::Null, Value::Object);
            bystander
                .expect_presence("A", &state, row.requirement())
                .await?;
            // The sender gets nothing of it.
            let pair = bystander.send_barrier();
            client
                .expect_barrier(&pair, ids::PRESENCE_PASSED_ON)
                .await?;
            bystander.expect_barrier(&pair, row.requirement()).await
        }
        None => Err(Failure::Harness(format!(
            "the table says that {} is valid, and the specification's types do not take it",
            row.id()
        ))),
    }
}
