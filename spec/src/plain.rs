//! Messages in the form in which nearly all are written: their fields in the order of the examples, no number
//! but in plain digits, and nothing unknown.
//!
//! `serde_json` says what is a message and what is none. Of a text in that form this reads the same in a fraction
//! of the time; all others it leaves to it (see `docs/decisions/plain.md`).

mod scan;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::id::{ElementId, Integer, MAX_INTEGER, Name};
use crate::message::{ClientMessage, OpEcho, OpSubmission, Resync, ServerMessage, Span, State};
use crate::op::{
    Count, Delete, Insert, Op, RunText, SingleDelete, SingleInsert, SingleOp, parent_of,
};
use scan::Scan;

impl<'de, O: Deserialize<'de> + TryFrom<PlainOp<'de>>> ClientMessage<O> {
    /// Reads a message as [`serde_json::from_str`] does, and most ops in a fraction of the time.
    ///
    /// Errors: it is no message; the server closes with 1002 (`close.not-json`, `close.schema`).
    pub fn from_json(text: &'de str) -> serde_json::Result<Self> {
        match Scan::whole(text, OpSubmission::scan) {
            Some(submission) => Ok(Self::Op(submission)),
            None => serde_json::from_str(text),
        }
    }
}

impl<'de, O: Deserialize<'de> + TryFrom<PlainOp<'de>>> ServerMessage<O> {
    /// Reads a message as [`serde_json::from_str`] does, and most of those with ops or a state in a fraction
    /// of the time.
    ///
    /// Errors: it is no message.
    pub fn from_json(text: &'de str) -> serde_json::Result<Self> {
        let plain = Scan::whole(text, |scan| {
            scan.eat(r#"{"type":"#)?;
            match scan.eat(r#""op_echo""#) {
                Some(()) => OpEcho::scan(scan).map(Self::OpEcho),
                None => Resync::scan(scan).map(Self::Resync),
            }
        });
        plain.map_or_else(|| serde_json::from_str(text), Ok)
    }
}

impl Op {
    /// Reads an op as [`serde_json::from_str`] does, and most in a fraction of the time.
    ///
    /// Errors: it is no op.
    pub fn from_json(text: &str) -> serde_json::Result<Self> {
        let plain = Scan::whole(text, |scan| PlainOp::scan(scan)?.op());
        plain.map_or_else(|| serde_json::from_str(text), Ok)
    }
}

/// An op as it was read from its plain form.
pub struct PlainOp<'a> {
    id: (u64, &'a str),
    content: PlainContent<'a>,
}

enum PlainContent<'a> {
    Ins {
        parent_id: (u64, &'a str),
        value: Cow<'a, str>,
    },
    Del {
        count: Option<u64>,
    },
}

/// The op cannot be made of its plain form.
pub struct NotPlain;

impl<'a> PlainOp<'a> {
    #[inline]
    pub(crate) fn scan(scan: &mut Scan<'a>) -> Option<Self> {
        scan.eat(r#"{"type":"#)?;
        let (id, content);
        if scan.eat(r#""ins","#).is_some() {
            scan.eat(r#""parent_id":"#)?;
            let parent_id = scan.id()?;
            scan.next(r#""id":"#)?;
            id = scan.id()?;
            scan.next(r#""value":"#)?;
            let value = scan.string()?;
            content = PlainContent::Ins { parent_id, value };
        } else {
            scan.eat(r#""del","#)?;
            scan.eat(r#""id":"#)?;
            id = scan.id()?;
            let count = match scan.next(r#""count":"#) {
                Some(()) => Some(scan.integer()?),
                None => None,
            };
            content = PlainContent::Del { count };
        }
        scan.eat("}")?;
        Some(Self { id, content })
    }

    fn id(&self) -> Option<ElementId> {
        let (lamport, replica_id) = self.id;
        ElementId::new(Integer::new(lamport)?, Name::new(replica_id)?)
    }

    fn op(&self) -> Option<Op> {
        let id = self.id()?;
        let op = match &self.content {
            PlainContent::Ins { parent_id, value } => Op::Ins(Insert {
                parent_id: parent_of(&id, parent_id.0, parent_id.1)?,
                id,
                value: RunText::new(value)?,
            }),
            PlainContent::Del { count } => Op::Del(Delete {
                id,
                count: Count::new(count.unwrap_or(1))?,
            }),
        };
        (op.last_lamport() <= MAX_INTEGER).then_some(op)
    }

    fn single(&self) -> Option<SingleOp> {
        let id = self.id()?;
        Some(match &self.content {
            PlainContent::Ins { parent_id, value } => SingleOp::Ins(SingleInsert {
                parent_id: parent_of(&id, parent_id.0, parent_id.1)?,
                id,
                value: value.parse().ok()?,
            }),
            PlainContent::Del { .. } => SingleOp::Del(SingleDelete { id }),
        })
    }
}

impl TryFrom<PlainOp<'_>> for Op {
    type Error = NotPlain;

    fn try_from(plain: PlainOp<'_>) -> Result<Self, NotPlain> {
        plain.op().ok_or(NotPlain)
    }
}

impl TryFrom<PlainOp<'_>> for SingleOp {
    type Error = NotPlain;

    fn try_from(plain: PlainOp<'_>) -> Result<Self, NotPlain> {
        plain.single().ok_or(NotPlain)
    }
}

/// The value of the next field, which is a name.
fn name(scan: &mut Scan<'_>, key: &str) -> Option<Name> {
    scan.next(key)?;
    Name::new(scan.plain_string()?)
}

/// The value of the next field, which is an op.
fn op<'a, O: TryFrom<PlainOp<'a>>>(scan: &mut Scan<'a>) -> Option<O> {
    PlainOp::scan(scan)?.try_into().ok()
}

/// The value of the next field, `server_seq`.
fn server_seq(scan: &mut Scan<'_>) -> Option<Integer> {
    scan.next(r#""server_seq":"#)?;
    Integer::new(scan.integer()?)
}

impl<O> OpSubmission<O> {
    fn scan<'a>(scan: &mut Scan<'a>) -> Option<Self>
    where
        O: TryFrom<PlainOp<'a>>,
    {
        scan.eat(r#"{"type":"#)?;
        scan.eat(r#""op""#)?;
        let doc_id = name(scan, r#""doc_id":"#)?;
        let client_id = name(scan, r#""client_id":"#)?;
        let client_msg_id = name(scan, r#""client_msg_id":"#)?;
        scan.next(r#""op":"#)?;
        let op = op(scan)?;
        let epoch = match scan.next(r#""epoch":"#) {
            Some(()) => Some(Value::from(scan.plain_string()?)),
            None => None,
        };
        scan.eat("}")?;
        Some(Self {
            doc_id,
            client_id,
            client_msg_id,
            op,
            epoch,
        })
    }
}

impl<O> OpEcho<O> {
    /// What stands behind the `type`.
    fn scan<'a>(scan: &mut Scan<'a>) -> Option<Self>
    where
        O: TryFrom<PlainOp<'a>>,
    {
        let doc_id = name(scan, r#""doc_id":"#)?;
        let server_seq = server_seq(scan).filter(|seq| seq.value() > 0)?;
        let origin_client_id = name(scan, r#""origin_client_id":"#)?;
        let client_msg_id = name(scan, r#""client_msg_id":"#)?;
        scan.next(r#""op":"#)?;
        let op = op(scan)?;
        scan.eat("}")?;
        Some(Self {
            doc_id,
            server_seq,
            origin_client_id,
            client_msg_id,
            op,
        })
    }
}

impl<O> Resync<O> {
    /// What stands behind `{"type":`.
    fn scan<'a>(scan: &mut Scan<'a>) -> Option<Self>
    where
        O: TryFrom<PlainOp<'a>>,
    {
        scan.eat(r#""resync""#)?;
        let doc_id = name(scan, r#""doc_id":"#)?;
        let server_seq = server_seq(scan)?;
        scan.next(r#""full_text":"#)?;
        let full_text = scan.string()?.into_owned();
        let state = match scan.next(r#""state":"#) {
            Some(()) => Some(State::scan(scan)?),
            None => None,
        };
        scan.eat("}")?;
        Some(Self {
            doc_id,
            server_seq,
            full_text,
            state,
        })
    }
}

impl<'a, O: Deserialize<'a> + TryFrom<PlainOp<'a>>> State<O> {
    /// Reads a state as [`serde_json::from_str`] does, and most in a fraction of the time.
    ///
    /// Errors: it is no state.
    pub fn from_json(text: &'a str) -> serde_json::Result<Self> {
        Scan::whole(text, Self::scan).map_or_else(|| serde_json::from_str(text), Ok)
    }
}

impl<O> State<O> {
    fn scan<'a>(scan: &mut Scan<'a>) -> Option<Self>
    where
        O: TryFrom<PlainOp<'a>>,
    {
        scan.eat(r#"{"elements":"#)?;
        let elements = scan.array(Span::scan)?;
        scan.next(r#""pending":"#)?;
        let pending = scan.array(op)?;
        scan.eat("}")?;
        Some(Self { elements, pending })
    }
}

impl Span {
    fn scan(scan: &mut Scan<'_>) -> Option<Self> {
        scan.eat(r#"{"id":"#)?;
        let (lamport, replica_id) = scan.id()?;
        let id = ElementId::new(Integer::new(lamport)?, Name::new(replica_id)?)?;
        let span = match scan.next(r#""text":"#) {
            Some(()) => {
                let text = scan.string().filter(|text| !text.is_empty())?;
                let text = text.into_owned();
                Self::Text { id, text }
            }
            None => {
                scan.next(r#""deleted":"#)?;
                let deleted = Integer::new(scan.integer()?).filter(|count| count.value() > 0)?;
                Self::Deleted { id, deleted }
            }
        };
        scan.eat("}")?;
        Some(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a library writes them, without white space and with it.
    #[test]
    fn what_is_written_in_the_order_of_the_examples_is_read_at_once() {
        let ops = [
            r#"{"type":"ins","parent_id":[0,"root"],"id":[1001,"A"],"value":"H"}"#,
            r#"{"type":"ins","parent_id":[1001,"A"],"id":[1002,"A"],"value":"\n\"é\u0041"}"#,
            r#"{"type":"del","id":[1001,"A"]}"#,
            r#"{"type":"del","id":[1001,"A"],"count":12}"#,
        ];
        let spaced = |text: &str| text.replace("\":", "\": ").replace(',', ", ");
        for op in ops {
            let op = &[op.to_owned(), spaced(op)];
            for op in op {
                let read = Scan::whole(op, |scan| PlainOp::scan(scan)?.op());
                assert_eq!(read, serde_json::from_str(op).ok(), "{op}");
                assert!(read.is_some(), "{op}");
                let message = format!(
                    r#"{{"type":"op","doc_id":"d","client_id":"A","client_msg_id":"m","op":{op}}}"#
                );
                let read = Scan::whole(&message, OpSubmission::<Op>::scan);
                assert!(read.is_some(), "{message}");
            }
        }
        let resync = r#"{"type":"resync","doc_id":"d","server_seq":0,"full_text":"","state":{"elements":[],"pending":[]}}"#;
        for text in [resync.to_owned(), spaced(resync)] {
            let read = Scan::whole(&text, |scan| {
                scan.eat(r#"{"type":"#)?;
                Resync::<Op>::scan(scan)
            });
            assert!(read.is_some(), "{text}");
        }
    }
}
