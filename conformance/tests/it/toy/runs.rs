//! What the profile `runs` adds to the toy: how ops are read, and what each connection gets of them.

use collab_spec::id::{MAX_INTEGER, ParentId};
use collab_spec::message::{ClientMessage, Op, SingleOp};
use serde_json::{Value, json};

use super::Fault;
use super::document::Refusal;
use super::elements::values;
use super::outbox::{Texts, one};

/// The greatest number of elements of one op.
const MAX_RUN: u64 = 60_000;

/// The greatest message of a client, in bytes.
pub(super) const MAX_MESSAGE: usize = 1 << 20;

/// Where even a server without a limit stops, so that it lives to be tested.
const ANY_RUN: u64 = 1 << 18;

/// What the ack says of the limits.
pub(super) fn limits(fault: Option<Fault>) -> Value {
    let max_run = match fault {
        Some(Fault::LimitsTooLarge) => ANY_RUN,
        _ => MAX_RUN,
    };
    let max_message = match fault {
        Some(Fault::MaxMessageOverstated) => 4 * MAX_MESSAGE,
        Some(Fault::MaxMessageUnderstated) => 65_536,
        _ => MAX_MESSAGE,
    };
    json!({"max_run": max_run, "max_message_bytes": max_message})
}

/// Refuses an op of too many elements.
pub(super) fn check_size(op: &Op, fault: Option<Fault>) -> Result<(), Refusal> {
    let size = match op {
        Op::Ins(insert) if fault == Some(Fault::MaxRunInBytes) => {
            insert.value.as_str().len() as u64
        }
        Op::Ins(insert) if fault == Some(Fault::MaxRunInUtf16) => {
            insert.value.as_str().encode_utf16().count() as u64
        }
        Op::Ins(insert) => insert.value.as_str().chars().count() as u64,
        Op::Del(delete) => delete.count.value(),
    };
    let most = match (fault, op) {
        (Some(Fault::MaxRunUnchecked), _) => ANY_RUN,
        (Some(Fault::MaxRunOfInsertsOnly), Op::Del(_)) => ANY_RUN,
        (Some(Fault::MaxRunOverstated), _) => 1_024,
        (Some(Fault::MaxRunOneLess), _) => MAX_RUN - 1,
        (Some(Fault::MaxRunOneMore), _) => MAX_RUN + 1,
        _ => MAX_RUN,
    };
    let code = match fault {
        Some(Fault::MaxRunPolicy) => 1008,
        _ => 1009,
    };
    if size > most {
        return Err((code, "too many elements"));
    }
    Ok(())
}

/// Reads a message on a connection that has the profile on or off.
pub(super) fn read(mut value: Value, on: bool, fault: Option<Fault>) -> Option<ClientMessage> {
    let has = |other| fault == Some(other);
    let is_insert = value["op"]["type"] == "ins";
    if on && let Some(op) = value.get_mut("op") {
        misread(op, fault)?;
    }
    let known = match is_insert {
        true => has(Fault::RunTakenWhereOff),
        false => has(Fault::CountTakenWhereOff),
    };
    if on || known {
        return serde_json::from_value(value).ok();
    }
    if has(Fault::CountCheckedWhereOff) && !is_insert {
        serde_json::from_value::<ClientMessage<Op>>(value.clone()).ok()?;
    }
    let message: ClientMessage<SingleOp> = serde_json::from_value(value).ok()?;
    Some(message.into())
}

/// What a faulty server makes of an op, nothing where it does not take it.
fn misread(op: &mut Value, fault: Option<Fault>) -> Option<()> {
    let length = op["value"].as_str().map_or(0, |text| text.chars().count());
    let count = &op["count"];
    match fault {
        Some(Fault::RunRefused) if length > 1 => return None,
        Some(Fault::CountRefused) if !count.is_null() => return None,
        Some(Fault::CountOfInsertRead) if op["type"] == "ins" && !count.is_null() => return None,
        Some(Fault::CountIgnored) => {
            op.as_object_mut()?.shift_remove("count");
        }
        Some(Fault::CountZeroTaken) if *count == 0 => op["count"] = json!(1),
        Some(Fault::CountRounded) if count.is_f64() => {
            op["count"] = json!(count.as_f64()? as u64);
        }
        Some(Fault::CountTextTaken) if count.is_string() => {
            op["count"] = json!(count.as_str()?.parse::<u64>().ok()?);
        }
        Some(Fault::CountNullTaken) if op.get("count").is_some_and(Value::is_null) => {
            op.as_object_mut()?.shift_remove("count");
        }
        Some(Fault::RunBeyondEndCut) => {
            let left = (MAX_INTEGER + 1).checked_sub(op["id"][0].as_u64()?)?;
            cut(op, left);
        }
        Some(Fault::MaxRunCut) => cut(op, MAX_RUN),
        _ => {}
    }
    Some(())
}

/// Leaves so many elements of an op.
fn cut(op: &mut Value, most: u64) {
    if let Some(text) = op["value"].as_str() {
        let text: String = text.chars().take(most as usize).collect();
        op["value"] = json!(text);
    }
    if let Some(count) = op["count"].as_u64().filter(|count| *count > most) {
        op["count"] = json!(count.min(most));
    }
}

/// Whether a message is an insert of nothing.
pub(super) fn is_empty(message: &Value) -> bool {
    message["op"]["type"] == "ins" && message["op"]["value"] == ""
}

/// How many seqs an op takes.
pub(super) fn elements(op: &Op, fault: Option<Fault>) -> u64 {
    match op {
        Op::Ins(insert) => values(insert.value.as_str(), fault).len() as u64,
        Op::Del(delete) => delete.count.value(),
    }
}

/// What a connection gets of an op, from the element with the index `from` on: one echo where the
/// profile is on, one an element where it is off.
pub(super) fn echoes(
    frame: &Value,
    elements: u64,
    from: u64,
    on: bool,
    fault: Option<Fault>,
) -> Texts {
    let has = |other| fault == Some(other);
    if elements == 1 {
        let mut frame = frame.clone();
        if on && frame["op"]["type"] == "del" && has(Fault::CountEchoedAsOne) {
            frame["op"]["count"] = json!(1);
        }
        return one(frame.to_string());
    }
    let echo = Echo::new(frame.clone(), elements, fault);
    let whole = match fault {
        Some(Fault::WholeForEveryone) => true,
        Some(Fault::SplitForEveryone) => false,
        Some(Fault::ReplayRestSplit) => on && from == 0,
        _ => on,
    };
    if whole {
        let mut rest = echo.rest(from);
        if rest["op"]["count"].is_u64() && has(Fault::CountEchoedAsMost) {
            rest["op"]["count"] = json!(MAX_INTEGER >> 1);
        }
        return one(rest.to_string());
    }
    Box::new((from..elements).map(move |index| echo.single(index).to_string()))
}

/// The echo of an op of several elements, to be sent whole or in parts.
struct Echo {
    /// The whole echo, but for the `value`.
    frame: Value,
    /// The characters of an insert.
    values: Vec<String>,
    elements: u64,
    fault: Option<Fault>,
}

impl Echo {
    fn new(mut frame: Value, elements: u64, fault: Option<Fault>) -> Self {
        let op = &mut frame["op"];
        let values = match op["value"].as_str() {
            Some(text) if op["type"] == "ins" => values(text, fault),
            _ => Vec::new(),
        };
        if !values.is_empty() {
            op["value"] = Value::Null;
        }
        Self {
            frame,
            values,
            elements,
            fault,
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// The elements with the indices from `from` to below `to`, as an echo of their own.
    fn part(&self, from: u64, to: u64) -> Value {
        let mut frame = self.frame.clone();
        let last = frame["server_seq"].as_u64().unwrap_or_default();
        frame["server_seq"] = json!(last.saturating_sub(self.elements - to));
        let op = &mut frame["op"];
        let first = op["id"][0].as_u64().unwrap_or_default();
        if from > 0 {
            op["id"][0] = json!(first + from);
        }
        if self.values.is_empty() {
            match to - from {
                1 => drop(op.as_object_mut().unwrap().shift_remove("count")),
                count => op["count"] = json!(count),
            }
        } else {
            op["value"] = json!(self.values[from as usize..to as usize].concat());
            if from > 0 {
                op["parent_id"] = json!([first + from - 1, op["id"][1]]);
            }
        }
        frame
    }

    /// The elements from an index on, for a connection with the profile.
    fn rest(&self, from: u64) -> Value {
        let mut frame = self.part(from, self.elements);
        let whole = &self.frame["op"];
        match self.fault {
            Some(Fault::EchoWithFirstSeq) => {
                let last = frame["server_seq"].as_u64().unwrap_or_default();
                frame["server_seq"] = json!((last + 1).saturating_sub(self.elements - from));
            }
            Some(Fault::CountNotEchoed) => {
                frame["op"].as_object_mut().unwrap().shift_remove("count");
            }
            Some(Fault::ReplayRestOldParent) if !self.values.is_empty() => {
                frame["op"]["parent_id"] = whole["parent_id"].clone();
            }
            Some(Fault::ReplayRestInUtf16) if from > 0 && !self.values.is_empty() => {
                let units: Vec<u16> = self.values.concat().encode_utf16().collect();
                let rest = String::from_utf16_lossy(&units[from as usize..]);
                frame["op"]["value"] = json!(rest);
            }
            Some(Fault::ReplayRestOldId) => frame["op"]["id"] = whole["id"].clone(),
            Some(Fault::ReplayRestOldCount) if self.values.is_empty() => {
                frame["op"]["count"] = whole["count"].clone();
            }
            _ => {}
        }
        frame
    }

    /// One element, for a connection without the profile.
    fn single(&self, index: u64) -> Value {
        let index = match self.has(Fault::SplitReversed) {
            true => self.elements - 1 - index,
            false => index,
        };
        let mut frame = self.part(index, index + 1);
        let whole = &self.frame["op"];
        match self.fault {
            Some(Fault::SplitUnderOneParent) if !self.values.is_empty() => {
                frame["op"]["parent_id"] = whole["parent_id"].clone();
            }
            Some(Fault::SplitUnderOneId) => frame["op"]["id"] = whole["id"].clone(),
            Some(Fault::SplitWithLastSeq) => {
                frame["server_seq"] = self.frame["server_seq"].clone();
            }
            Some(Fault::SplitRenamed) => {
                let name = frame["client_msg_id"].as_str().unwrap_or_default();
                frame["client_msg_id"] = json!(format!("{name}-{index}"));
            }
            Some(Fault::SplitKeepsCount) if self.values.is_empty() => {
                frame["op"]["count"] = whole["count"].clone();
            }
            _ => {}
        }
        frame
    }
}

/// One echo of two, where the second goes on with the first and both are of one client.
pub(super) fn merged(first: &Value, second: &Value) -> Option<Value> {
    let (op, next) = (&first["op"], &second["op"]);
    let text = op["value"].as_str()?;
    let last = op["id"][0].as_u64()? + text.chars().count() as u64 - 1;
    let follows = next["parent_id"] == json!([last, op["id"][1]])
        && next["id"] == json!([last + 1, op["id"][1]]);
    let mut frame = first.clone();
    frame["server_seq"] = second["server_seq"].clone();
    frame["op"]["value"] = json!(text.to_owned() + next["value"].as_str()?);
    follows.then_some(frame)
}

/// The ops that wait, of one element each, as a state has them: where the profile is on, those that
/// follow each other are one.
pub(super) fn pending(singles: &[Op], on: bool) -> Vec<Value> {
    singles
        .chunk_by(|first, second| on && follows(first, second))
        .map(|run| {
            let mut op = json!(run[0]);
            match &run[0] {
                Op::Del(_) if run.len() > 1 => op["count"] = json!(run.len()),
                Op::Del(_) => {}
                Op::Ins(_) => {
                    op["value"] = json!(run.iter().filter_map(value_of).collect::<String>())
                }
            }
            op
        })
        .collect()
}

fn value_of(op: &Op) -> Option<&str> {
    match op {
        Op::Ins(insert) => Some(insert.value.as_str()),
        Op::Del(_) => None,
    }
}

fn follows(first: &Op, second: &Op) -> bool {
    let (one, other) = (first.id(), second.id());
    let next = one.replica_id() == other.replica_id() && one.lamport() + 1 == other.lamport();
    match (first, second) {
        (Op::Ins(_), Op::Ins(insert)) => next && insert.parent_id == ParentId::Element(one.clone()),
        (Op::Del(_), Op::Del(_)) => next,
        _ => false,
    }
}
