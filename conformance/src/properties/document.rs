//! What a random history has made in one document: every op, and what is known of its order.

use std::collections::{BTreeMap, HashMap, HashSet};

use collab_spec::id::{ElementId, Name, ParentId};
use collab_spec::message::{Insert, Op, OpEcho, OpSubmission};

use crate::ids;
use crate::model::Model;

/// A document of a history.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) doc_id: String,
    /// The greatest seq that has come on any connection.
    pub(super) head: u64,
    pub(super) made: Vec<Made>,
    /// The place in `made` of each client's `client_msg_id`s.
    by_name: HashMap<(Name, Name), usize>,
    /// The elements that each step inserted.
    inserted: BTreeMap<usize, Vec<ElementId>>,
    /// The inserts of the elements, one by one, with their authors.
    children: HashMap<ParentId, Vec<(ElementId, usize)>>,
    /// The elements that the server has taken.
    there: HashSet<ElementId>,
    deleted: HashSet<ElementId>,
    /// The op of one element behind each seq.
    by_seq: BTreeMap<u64, Op>,
    /// The seqs of the first and the last element of a run that was seen whole.
    pub(super) run: Option<(u64, u64)>,
}

/// An op that somebody has made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) submission: OpSubmission,
    pub(super) step: usize,
    pub(super) member: usize,
    /// Whether an echo of it has come.
    pub(super) is_accepted: bool,
    /// The connections that it was sent on.
    pub(super) sent_on: Vec<usize>,
}

impl Document {
    pub(super) fn new(doc_id: String) -> Self {
        Self {
            doc_id,
            head: 0,
            made: Vec::new(),
            by_name: HashMap::new(),
            inserted: BTreeMap::new(),
            children: HashMap::new(),
            there: HashSet::new(),
            deleted: HashSet::new(),
            by_seq: BTreeMap::new(),
            run: None,
        }
    }

    /// Adds an op, and gives its place.
    pub(super) fn add(&mut self, submission: OpSubmission, step: usize, member: usize) -> usize {
        let place = self.made.len();
        for single in submission.op.singles() {
            match single {
                Op::Ins(Insert { parent_id, id, .. }) => {
                    let children = self.children.entry(parent_id).or_default();
                    children.push((id.clone(), member));
                    self.inserted.entry(step).or_default().push(id);
                }
                Op::Del(delete) => drop(self.deleted.insert(delete.id)),
            }
        }
        let name = (
            submission.client_id.clone(),
            submission.client_msg_id.clone(),
        );
        self.by_name.insert(name, place);
        self.made.push(Made {
            submission,
            step,
            member,
            is_accepted: false,
            sent_on: Vec::new(),
        });
        place
    }

    /// The elements that a step inserted.
    pub(super) fn inserted_by(&self, step: usize) -> &[ElementId] {
        self.inserted.get(&step).map_or(&[], Vec::as_slice)
    }

    /// The places of the ops that a step of a member made.
    pub(super) fn made_by(&self, step: usize, member: usize) -> Vec<usize> {
        let its = |made: &Made| made.step == step && made.member == member;
        let places = 0..self.made.len();
        places.filter(|place| its(&self.made[*place])).collect()
    }

    /// The children of a parent, with their authors.
    pub(super) fn children_of(&self, parent: &ParentId) -> &[(ElementId, usize)] {
        self.children.get(parent).map_or(&[], Vec::as_slice)
    }

    /// Whether anybody has deleted an element.
    pub(super) fn is_deleted(&self, id: &ElementId) -> bool {
        self.deleted.contains(id)
    }

    /// The place of a client's op.
    pub(super) fn place(&self, echo: &OpEcho) -> Option<usize> {
        let name = (echo.origin_client_id.clone(), echo.client_msg_id.clone());
        self.by_name.get(&name).copied()
    }

    /// Takes note of an echo on any connection.
    pub(super) fn note(&mut self, echo: &OpEcho) {
        self.head = self.head.max(echo.server_seq.value());
        let elements = echo.op.elements();
        if elements > collab_spec::op::MOST_RUN {
            // No op is so long; the monitors say so.
            return;
        }
        if let Some(place) = self.place(echo) {
            self.made[place].is_accepted = true;
        }
        let Some(after) = echo.server_seq.value().checked_sub(elements) else {
            return;
        };
        if elements > 1 {
            self.run = Some((after + 1, echo.server_seq.value()));
        }
        for (seq, single) in (after + 1..).zip(echo.op.singles()) {
            if let Op::Ins(insert) = &single {
                self.there.insert(insert.id.clone());
            }
            self.by_seq.entry(seq).or_insert(single);
        }
    }

    /// Whether what an op depends on was still to come when last heard of.
    pub(super) fn is_early(&self, op: &Op) -> bool {
        op.dependency().is_some_and(|id| !self.there.contains(id))
    }

    /// The requirement by which a server has to take an op.
    pub(super) fn rule(&self, place: usize) -> &'static str {
        let Made {
            submission, member, ..
        } = &self.made[place];
        let op = &submission.op;
        let by_other = |id: &ElementId| *id.replica_id() != submission.client_id;
        match op {
            _ if self.is_early(op) => ids::CRDT_PENDING_ACCEPTED,
            Op::Ins(insert) if insert.value.elements() > 1 => ids::RUNS_INS,
            Op::Del(delete) if delete.count.value() > 1 => ids::RUNS_DEL,
            Op::Ins(insert)
                if insert
                    .parent_id
                    .element()
                    .is_some_and(|id| self.is_deleted(id)) =>
            {
                ids::CRDT_TOMBSTONE_CHILDREN
            }
            Op::Del(delete) if self.was_deleted_before(place, &delete.id) => ids::SUBMIT_DEL_AGAIN,
            Op::Del(delete) if by_other(&delete.id) => ids::CRDT_DELETE_ANY,
            _ => {
                let _ = member;
                ids::SEQ_FAN_OUT
            }
        }
    }

    fn was_deleted_before(&self, place: usize, id: &ElementId) -> bool {
        self.made[..place]
            .iter()
            .any(|made| match &made.submission.op {
                Op::Del(delete) => (0..delete.count.value()).any(|at| delete.id.later(at) == *id),
                Op::Ins(_) => false,
            })
    }

    /// How many elements all ops have together: the head, once all are accepted.
    pub(super) fn elements(&self) -> u64 {
        let elements = self.made.iter().map(|made| made.submission.op.elements());
        elements.sum()
    }

    /// What all ops make.
    pub(super) fn oracle(&self) -> Model {
        let mut model = Model::new();
        for made in &self.made {
            model.integrate(&made.submission.op);
        }
        model
    }

    /// What the ops up to a seq make, or nothing where some of them are not known.
    pub(super) fn oracle_at(&self, seq: u64) -> Option<Model> {
        let mut model = Model::new();
        for seq in 1..=seq {
            model.integrate(self.by_seq.get(&seq)?);
        }
        Some(model)
    }
}
