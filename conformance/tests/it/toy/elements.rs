//! The elements of ops, one by one, as the toy's text knows them.

use std::collections::HashSet;

use collab_spec::id::{ElementId, ParentId};
use collab_spec::message::{Delete, Insert, Op, RunText};

use super::Fault;
use super::document::Document;
use super::text::walk;

/// The value of each element of an insert.
pub(super) fn values(text: &str, fault: Option<Fault>) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for value in text.chars() {
        let combines = ('\u{300}'..='\u{36f}').contains(&value);
        match fault {
            Some(Fault::RunInUtf16) if value.len_utf16() == 2 => {
                values.extend(["\u{fffd}", "\u{fffd}"].map(str::to_owned));
            }
            Some(Fault::RunInClusters) if combines && !values.is_empty() => {
                values.last_mut().unwrap().push(value);
            }
            _ => values.push(value.into()),
        }
    }
    values
}

/// An op as ops of one element each.
fn singles(op: &Op, fault: Option<Fault>) -> Vec<Op> {
    match op {
        Op::Del(delete) => (0..delete.count.value())
            .map(|index| Op::Del(Delete::one(delete.id.later(index))))
            .collect(),
        Op::Ins(insert) => {
            let mut parent_id = insert.parent_id.clone();
            let one = |(index, value): (u64, String)| {
                let id = insert.id.later(index);
                let next = match fault {
                    Some(Fault::RunUnderOneParent) => insert.parent_id.clone(),
                    _ => ParentId::Element(id.clone()),
                };
                Op::Ins(Insert {
                    parent_id: std::mem::replace(&mut parent_id, next),
                    id,
                    value: RunText::new(&value).unwrap(),
                })
            };
            (0..)
                .zip(values(insert.value.as_str(), fault))
                .map(one)
                .collect()
        }
    }
}

/// The ids of the elements that a list of single ops inserts.
fn inserted(singles: &[Op]) -> HashSet<&ElementId> {
    let inserts = singles.iter().filter(|op| matches!(op, Op::Ins(_)));
    inserts.map(Op::id).collect()
}

impl Document {
    /// The first `upto` ops as ops of one element each, in their order.
    pub(super) fn elements(&self, upto: usize) -> Vec<Op> {
        let mut found = Vec::new();
        for accepted in &self.ops[..upto] {
            let mut own = singles(&accepted.op, self.fault);
            self.mistake(&accepted.op, &mut own, &found);
            found.extend(own);
        }
        let kept = self.half_taken.iter();
        found.extend(kept.flat_map(|op| singles(op, self.fault)));
        if self.has(Fault::DeleteWaitsWhole) {
            let there: HashSet<ElementId> = inserted(&found).into_iter().cloned().collect();
            let waits = |op: &Op| {
                let targets = singles(op, None);
                targets.len() > 1 && !targets.iter().all(|one| there.contains(one.id()))
            };
            let deletes = self.ops[..upto].iter().map(|accepted| &accepted.op);
            let waiting: HashSet<ElementId> = deletes
                .filter(|op| matches!(op, Op::Del(_)) && waits(op))
                .flat_map(|op| singles(op, None))
                .map(|one| one.id().clone())
                .collect();
            found.retain(|op| matches!(op, Op::Ins(_)) || !waiting.contains(op.id()));
        }
        found
    }

    /// What a faulty server makes of an op's elements, when these others are there.
    fn mistake(&self, op: &Op, own: &mut Vec<Op>, others: &[Op]) {
        match (self.fault, op) {
            (Some(Fault::RunKeptTogether), Op::Ins(insert)) => {
                if let Some((run, _)) = insert.parent_id.element().and_then(|id| self.run_of(id))
                    && let Op::Ins(first) = &mut own[0]
                    && let Some(last) = run.last()
                {
                    first.parent_id = ParentId::Element(last.id().clone());
                }
            }
            (Some(Fault::RunInsideUnknown), Op::Ins(insert)) => {
                let parent = insert.parent_id.element();
                if parent
                    .and_then(|id| self.run_of(id))
                    .is_some_and(|(_, at)| at > 0)
                {
                    own.clear();
                }
            }
            (Some(Fault::WaitingRunCut), Op::Ins(insert)) => {
                let there = inserted(others);
                let parent = insert.parent_id.element();
                if parent.is_some_and(|parent| !there.contains(parent)) {
                    own.truncate(1);
                }
            }
            (Some(Fault::DeleteByPlace), Op::Del(delete)) if delete.count.value() > 1 => {
                let text = walk(others.iter(), None);
                let visible = text.iter().filter(|(_, deleted)| !deleted);
                let ids = visible
                    .map(|(insert, _)| &insert.id)
                    .skip_while(|id| **id != delete.id);
                *own = ids
                    .take(own.len())
                    .cloned()
                    .map(Delete::one)
                    .map(Op::Del)
                    .collect();
            }
            (Some(Fault::DeleteTakesRun), Op::Del(delete)) => {
                let (run, _) = self.run_of(&delete.id).unwrap_or_default();
                own.extend(run.iter().map(|op| Op::Del(Delete::one(op.id().clone()))));
            }
            (Some(Fault::DeleteWithinRun), Op::Del(delete)) => {
                if let Some((run, at)) = self.run_of(&delete.id) {
                    own.truncate(run.len() - at);
                }
            }
            (Some(Fault::DeleteOfAllReplicas), Op::Del(delete)) if delete.count.value() > 1 => {
                let first = delete.id.lamport();
                let lamports = first..first + own.len() as u64;
                let ids = inserted(others).into_iter();
                let there = ids.filter(|id| lamports.contains(&id.lamport()));
                own.extend(there.cloned().map(Delete::one).map(Op::Del));
            }
            (Some(Fault::DeleteStopsAtTombstone), Op::Del(_)) => {
                let gone = |op: &Op| others.contains(op);
                let alive = own.iter().position(gone).unwrap_or(own.len());
                own.truncate(alive);
            }
            (Some(Fault::DeleteStopsAtMissing), Op::Del(delete)) if delete.count.value() > 1 => {
                let there = inserted(others);
                let missing = own.iter().position(|op| !there.contains(op.id()));
                own.truncate(missing.unwrap_or(own.len()));
            }
            (Some(Fault::DeletePartlyLost), Op::Del(delete)) if delete.count.value() > 1 => {
                let there = inserted(others);
                own.retain(|op| there.contains(op.id()));
            }
            _ => {}
        }
    }

    /// The deletes beside these that came with one of them.
    pub(super) fn whole_deletes(&self, upto: usize, waiting: &HashSet<Op>) -> Vec<Op> {
        let deletes = self.ops[..upto].iter().map(|accepted| &accepted.op);
        deletes
            .filter(|op| matches!(op, Op::Del(_)))
            .map(|op| singles(op, None))
            .filter(|own| own.iter().any(|one| waiting.contains(one)))
            .flatten()
            .filter(|one| !waiting.contains(one))
            .collect()
    }

    /// The elements of the accepted insert that an element came with, and the element's place there.
    fn run_of(&self, id: &ElementId) -> Option<(Vec<Op>, usize)> {
        let run = singles(&self.ops[*self.by_insert.get(id)?].op, self.fault);
        let place = run.iter().position(|one| one.id() == id)?;
        Some((run, place))
    }
}
