//! Ops looked at element by element: one echo of a run, and single echoes of the same, say the same.

use collab_spec::id::{ElementId, Integer, Name, ParentId};
use collab_spec::message::{Delete, Insert, Op};

/// One element of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// The element's id.
    pub(super) id: (u64, &'a Name),
    /// The parent (nothing for the root) and the value of an insert; nothing for a delete.
    pub(super) insert: Option<(Option<(u64, &'a Name)>, char)>,
}

impl Piece<'_> {
    /// The element as an op of its own.
    pub(super) fn op(self) -> Op {
        let id = |(lamport, replica): (u64, &Name)| {
            let lamport = Integer::new(lamport).expect("a run ends at 2^53-1 or below");
            ElementId::new(lamport, replica.clone()).expect("a run begins at 1 or above")
        };
        match self.insert {
            None => Op::Del(Delete::one(id(self.id))),
            Some((parent, value)) => Op::Ins(Insert {
                parent_id: parent.map_or(ParentId::Root, |parent| ParentId::Element(id(parent))),
                id: id(self.id),
                value: value.into(),
            }),
        }
    }
}

/// The values of an op's elements; none for a delete.
pub(super) fn values(op: &Op) -> Vec<char> {
    match op {
        Op::Ins(insert) => insert.value.as_str().chars().collect(),
        Op::Del(_) => Vec::new(),
    }
}

/// An op, and the values of its elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pieces<'a> {
    op: &'a Op,
    values: &'a [char],
}

impl<'a> Pieces<'a> {
    /// `values` are those of the op; see [`values`].
    pub(super) fn new(op: &'a Op, values: &'a [char]) -> Self {
        Self { op, values }
    }

    /// How many elements there are.
    pub(super) fn len(self) -> u64 {
        match self.op {
            Op::Ins(_) => self.values.len() as u64,
            Op::Del(delete) => delete.count.value(),
        }
    }

    /// The element with this index, or nothing behind the last.
    pub(super) fn at(self, index: u64) -> Option<Piece<'a>> {
        if index >= self.len() {
            return None;
        }
        let first = self.op.id();
        let lamport = first.lamport() + index;
        let replica = first.replica_id();
        let insert = match self.op {
            Op::Del(_) => None,
            Op::Ins(insert) => {
                let parent = match (&insert.parent_id, index) {
                    (ParentId::Root, 0) => None,
                    (ParentId::Element(parent), 0) => Some((parent.lamport(), parent.replica_id())),
                    _ => Some((lamport - 1, replica)),
                };
                Some((parent, self.values[usize::try_from(index).ok()?]))
            }
        };
        let id = (lamport, replica);
        Some(Piece { id, insert })
    }

    /// The index of the first element of `part` here, where `part` is a part of this op.
    pub(super) fn holds(self, part: Pieces<'_>) -> Option<u64> {
        let (own, its) = (self.op.id(), part.op.id());
        let from = its.lamport().checked_sub(own.lamport())?;
        let same = (0..part.len()).all(|index| self.at(from + index) == part.at(index));
        (own.replica_id() == its.replica_id() && same).then_some(from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::ids;
    use crate::monitor::testing::{DOC, Tape, assert_breaks, assert_holds};

    /// A joins with runs, B without, both to an empty document.
    fn joined() -> Tape {
        let mut tape = Tape::new();
        tape.hello_json("A", json!({"capabilities": ["runs"]}));
        ack(&mut tape, "A", 0);
        tape.resync("A", 0, "").joined("B", 0, "");
        tape
    }

    fn ack(tape: &mut Tape, name: &str, seq: u64) {
        tape.got_json(
            name,
            json!({"type": "hello_ack", "doc_id": DOC, "server_seq": seq,
            "capabilities": ["runs"], "limits": {"max_run": 1024, "max_message_bytes": 65536}}),
        );
    }

    fn sent(tape: &mut Tape, msg_id: &str, op: &Value) {
        let submission = json!({"type": "op", "doc_id": DOC, "client_id": "A",
            "client_msg_id": msg_id, "op": op});
        tape.sent("A", &submission.to_string());
    }

    fn echo(tape: &mut Tape, on: &str, seq: u64, op: &Value) {
        tape.got_json(
            on,
            json!({"type": "op_echo", "doc_id": DOC, "server_seq": seq,
            "origin_client_id": "A", "client_msg_id": "m", "op": op}),
        );
    }

    fn ins(parent: Value, lamport: u64, value: &str) -> Value {
        json!({"type": "ins", "parent_id": parent, "id": [lamport, "A"], "value": value})
    }

    fn root() -> Value {
        json!([0, "root"])
    }

    fn hey() -> Value {
        ins(root(), 1, "Hey")
    }

    /// A has sent a run of three and got its echo; B gets these single echoes, from seq 1 on.
    fn pasted(singles: &[Value]) -> Tape {
        let mut tape = joined();
        sent(&mut tape, "m", &hey());
        echo(&mut tape, "A", 3, &hey());
        for (seq, op) in (1..).zip(singles) {
            echo(&mut tape, "B", seq, op);
        }
        tape
    }

    fn singles() -> [Value; 3] {
        [
            ins(root(), 1, "H"),
            ins(json!([1, "A"]), 2, "e"),
            ins(json!([2, "A"]), 3, "y"),
        ]
    }

    #[test]
    fn a_run_and_its_elements_are_one_op() {
        let mut tape = pasted(&singles());
        assert_holds(&tape);
        tape.joined("C", 3, "Hey");
        assert_holds(&tape);
        // Whichever comes first.
        let mut tape = joined();
        sent(&mut tape, "m", &hey());
        for (seq, op) in (1..).zip(&singles()) {
            echo(&mut tape, "B", seq, op);
        }
        echo(&mut tape, "A", 3, &hey());
        assert_holds(&tape);
    }

    #[test]
    fn elements_that_are_not_the_runs_are_found() {
        let [h, e, y] = singles();
        assert_breaks(&pasted(&[h.clone(), ins(root(), 2, "e")]), ids::RUNS_SPLIT);
        assert_breaks(&pasted(&[h.clone(), y.clone(), e]), ids::RUNS_SPLIT);
        assert_breaks(&pasted(&[hey()]), ids::RUNS_SPLIT);
        assert_breaks(
            &pasted(&[h, ins(json!([1, "A"]), 2, "E"), y]),
            ids::RUNS_SPLIT,
        );
    }

    #[test]
    fn the_echo_of_a_run_is_whole_and_ends_with_its_last_seq() {
        let mut first = joined();
        sent(&mut first, "m", &hey());
        echo(&mut first, "A", 1, &hey());
        assert_breaks(&first, ids::RUNS_ONE_ECHO);
        let mut apart = joined();
        sent(&mut apart, "m", &hey());
        echo(&mut apart, "A", 1, &singles()[0]);
        assert_breaks(&apart, ids::RUNS_ONE_ECHO);
    }

    /// D comes back with runs, having seen the first of three.
    fn back(seq: u64, op: &Value) -> Tape {
        let mut tape = pasted(&[]);
        tape.hello_json(
            "D",
            json!({"capabilities": ["runs"], "last_seen_server_seq": 1}),
        );
        ack(&mut tape, "D", 3);
        echo(&mut tape, "D", seq, op);
        tape
    }

    #[test]
    fn a_replay_begins_with_the_rest() {
        assert_holds(&back(3, &ins(json!([1, "A"]), 2, "ey")));
        assert_breaks(&back(3, &hey()), ids::RUNS_REPLAY_INSIDE);
        assert_breaks(&back(3, &ins(root(), 2, "ey")), ids::RUNS_REPLAY_INSIDE);
        assert_breaks(&back(2, &singles()[1]), ids::RUNS_ONE_ECHO);
    }

    #[test]
    fn a_run_is_answered_whole_and_sequenced_once() {
        let mut tape = pasted(&singles());
        sent(&mut tape, "m", &hey());
        let mut part = tape.clone();
        let mut again = tape.clone();
        echo(&mut tape, "A", 3, &hey());
        assert_holds(&tape);
        echo(&mut part, "A", 3, &singles()[2]);
        assert_breaks(&part, ids::RUNS_ANSWER);
        echo(&mut again, "A", 6, &hey());
        assert_breaks(&again, ids::SUBMIT_RESEND);
    }

    #[test]
    fn overlaps_and_overlong_ops_are_found() {
        let mut tape = pasted(&singles());
        let over = ins(json!([2, "A"]), 3, "yo");
        sent(&mut tape, "n", &over);
        tape.got_json(
            "A",
            json!({"type": "op_echo", "doc_id": DOC, "server_seq": 5,
            "origin_client_id": "A", "client_msg_id": "n", "op": over}),
        );
        assert_breaks(&tape, ids::RUNS_OVERLAP);
        let mut tape = joined();
        let long = ins(root(), 1, &"x".repeat(1025));
        sent(&mut tape, "m", &long);
        echo(&mut tape, "A", 1025, &long);
        assert_breaks(&tape, ids::RUNS_MAX_RUN);
        let mut tape = joined();
        let delete = json!({"type": "del", "id": [1, "A"], "count": 9_007_199_254_740_991_u64});
        sent(&mut tape, "m", &delete);
        echo(&mut tape, "A", 9_007_199_254_740_991, &delete);
        assert_breaks(&tape, ids::RUNS_MAX_RUN);
    }

    #[test]
    fn counts_are_echoed_above_one_alone() {
        let mut tape = joined();
        let delete = json!({"type": "del", "id": [1, "A"], "count": 1});
        sent(&mut tape, "m", &delete);
        let mut right = tape.clone();
        echo(&mut right, "A", 1, &json!({"type": "del", "id": [1, "A"]}));
        assert_holds(&right);
        echo(&mut tape, "A", 1, &delete);
        assert_breaks(&tape, ids::RUNS_COUNT_ECHOED);
    }
}
