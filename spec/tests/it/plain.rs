//! What is read quickly is what `serde_json` reads, message by message and change by change.

use std::fmt::Debug;

use collab_spec::data;
use collab_spec::message::{ClientMessage, Op, ServerMessage, SingleOp, State};
use collab_spec::plain::PlainOp;
use serde::de::DeserializeOwned;

/// What is put into texts: every sign of JSON, and what makes numbers, words and escapes of another kind.
const SIGNS: &str = " \t\n\"\\/{}[],:019e.-+ntuéA\u{1}\u{7f}";

fn same<O>(text: &str)
where
    O: DeserializeOwned + PartialEq + Debug + for<'a> TryFrom<PlainOp<'a>>,
{
    let of_client = ClientMessage::<O>::from_json(text).ok();
    assert_eq!(of_client, serde_json::from_str(text).ok(), "{text}");
    let of_server = ServerMessage::<O>::from_json(text).ok();
    assert_eq!(of_server, serde_json::from_str(text).ok(), "{text}");
    let state = State::<O>::from_json(text).ok();
    assert_eq!(state, serde_json::from_str(text).ok(), "{text}");
}

fn same_each_way(text: &str) {
    same::<Op>(text);
    same::<SingleOp>(text);
    assert_eq!(Op::from_json(text).ok(), serde_json::from_str(text).ok());
}

/// A text, with each of its characters left out, each of [`SIGNS`] before it or in its place, and an end
/// before it.
fn changed(text: &str) -> impl Iterator<Item = String> {
    let places = text.char_indices();
    places.flat_map(move |(at, here)| {
        let (before, rest) = text.split_at(at);
        let behind = &rest[here.len_utf8()..];
        let put = SIGNS
            .chars()
            .flat_map(move |sign| [rest, behind].map(|rest| format!("{before}{sign}{rest}")));
        put.chain([format!("{before}{behind}"), before.to_owned()])
    })
}

/// Short messages of each kind that is read quickly, and what stands in them.
const TEXTS: [&str; 9] = [
    r#"{"type":"op","doc_id":"d","client_id":"A","client_msg_id":"m","op":{"type":"ins","parent_id":[0,"root"],"id":[1,"A"],"value":"H"}}"#,
    r#"{"type": "op", "doc_id": "d", "client_id": "A", "client_msg_id": "m", "op": {"type": "del", "id": [10, "B"]}, "epoch": "e"}"#,
    r#"{"type":"op_echo","doc_id":"d","server_seq":43,"origin_client_id":"A","client_msg_id":"m","op":{"type":"del","id":[2,"A"],"count":3}}"#,
    r#"{"type":"resync","doc_id":"d","server_seq":100,"full_text":"a\nb"}"#,
    r#"{"type":"resync","doc_id":"d","server_seq":2,"full_text":"H","state":{"elements":[{"id":[1,"A"],"text":"H"},{"id":[2,"A"],"deleted":1}],"pending":[]}}"#,
    r#"{"elements":[{"id":[7,"A"],"text":"\"\\\u00e9"}],"pending":[{"type":"del","id":[9,"C"]},{"type":"ins","parent_id":[8,"B"],"id":[9,"A"],"value":"\u0041"}]}"#,
    r#"{"type":"ins","parent_id":[9007199254740990,"A"],"id":[9007199254740991,"A"],"value":"é"}"#,
    r#"{"type":"ins","parent_id":[1,"a long name"],"id":[2,"a long name"],"value":"several at once"}"#,
    r#"{"type":"del","id":[9007199254740991,"A"],"count":1}"#,
];

#[test]
fn each_change_of_a_message_is_read_alike() {
    for text in TEXTS {
        same_each_way(text);
        changed(text).for_each(|text| same_each_way(&text));
    }
}

#[test]
fn each_frame_of_the_tables_is_read_alike() {
    for table in data::frames().unwrap() {
        let rows = table.content.frames.iter();
        rows.for_each(|row| same_each_way(&row.text));
    }
}

#[test]
fn fields_in_any_order_are_read_alike() {
    let fields = [
        r#""type":"op""#,
        r#""doc_id":"d""#,
        r#""client_id":"A""#,
        r#""client_msg_id":"m""#,
        r#""op":{"id":[1,"A"],"value":"H","type":"ins","parent_id":[0,"root"]}"#,
        r#""epoch":"e""#,
    ];
    for turn in 0..fields.len() {
        let mut turned = fields;
        turned.rotate_left(turn);
        let text = format!("{{{}}}", turned.join(","));
        assert!(ClientMessage::<Op>::from_json(&text).is_ok(), "{text}");
        same_each_way(&text);
        // Twice the same field is no message.
        let text = format!("{{{},{}}}", turned.join(","), fields[1]);
        assert!(ClientMessage::<Op>::from_json(&text).is_err(), "{text}");
        same_each_way(&text);
    }
}
