//! The text of a list of ops, by sorting and walking.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};

use collab_spec::id::{ElementId, ParentId};
use collab_spec::message::{Insert, Op};

use super::Fault;

/// The text that the ops make, in their order of acceptance.
pub(super) fn text_of<'a>(ops: impl Iterator<Item = &'a Op>, fault: Option<Fault>) -> String {
    let visible = walk(ops, fault).into_iter().filter(|(_, deleted)| !deleted);
    let text: String = visible.map(|(insert, _)| insert.value.as_str()).collect();
    match fault {
        Some(Fault::TextComposed) => text.replace("e\u{301}", "é"),
        Some(Fault::ScriptsStripped) => text.replace("<script>", ""),
        Some(Fault::JoinersLost) => text.replace("👨\u{200d}", "👨"),
        Some(Fault::TornAt65536) => torn(&text),
        _ => text,
    }
}

/// A text of which the character that lies across 65,536 UTF-16 units is two that nobody wrote.
fn torn(text: &str) -> String {
    let mut units = 0;
    let mut torn = String::new();
    for value in text.chars() {
        units += value.len_utf16();
        match (value.len_utf16(), units) {
            (2, 65_537) => torn.push_str("\u{fffd}\u{fffd}"),
            _ => torn.push(value),
        }
    }
    torn
}

/// The elements that the ops make, in document order, and whether each is deleted.
pub(super) fn walk<'a>(
    ops: impl Iterator<Item = &'a Op>,
    fault: Option<Fault>,
) -> Vec<(&'a Insert, bool)> {
    let has = |other| fault == Some(other);
    let mut children: HashMap<ParentId, Vec<&Insert>> = HashMap::new();
    let mut known: HashSet<&ElementId> = HashSet::new();
    let mut deleted: HashSet<&ElementId> = HashSet::new();
    let mut waited: HashSet<&ElementId> = HashSet::new();
    for op in ops {
        match op {
            Op::Ins(insert) => {
                let early = insert
                    .parent_id
                    .element()
                    .is_some_and(|parent| !known.contains(parent));
                if early && has(Fault::EarlyInsertLost) {
                    continue;
                }
                let parent = if early && has(Fault::EarlyInsertAtRoot) {
                    ParentId::Root
                } else {
                    insert.parent_id.clone()
                };
                let parent = match &parent {
                    ParentId::Element(id)
                        if has(Fault::RootByName) && id.replica_id().as_str() == "root" =>
                    {
                        ParentId::Root
                    }
                    _ => parent,
                };
                if early {
                    waited.insert(&insert.id);
                }
                known.insert(&insert.id);
                children.entry(parent).or_default().push(insert);
            }
            Op::Del(delete) => {
                if has(Fault::EarlyDeleteLost) && !known.contains(&delete.id) {
                    continue;
                }
                if has(Fault::DeleteToggles) && deleted.remove(&delete.id) {
                    continue;
                }
                deleted.insert(&delete.id);
            }
        }
    }
    for siblings in children.values_mut() {
        if has(Fault::SiblingsByArrival) {
            siblings.reverse();
        } else {
            // The walk takes from the end of a stack, so the first child is pushed last.
            siblings.sort_by(|a, b| compare(&a.id, &b.id, fault));
        }
        if has(Fault::WaitedStandsLast) {
            siblings.sort_by_key(|insert| !waited.contains(&insert.id));
        }
    }
    descend(&children, &deleted, fault)
}

fn descend<'a>(
    children: &HashMap<ParentId, Vec<&'a Insert>>,
    deleted: &HashSet<&ElementId>,
    fault: Option<Fault>,
) -> Vec<(&'a Insert, bool)> {
    let has = |other| fault == Some(other);
    let mut found = Vec::new();
    let mut stack: Vec<&Insert> = Vec::new();
    let mut depth: BTreeMap<&ElementId, usize> = BTreeMap::new();
    // What a fault has doubled has its children once: else the text would double with each of them.
    let mut walked: HashSet<&ElementId> = HashSet::new();
    stack.extend(children.get(&ParentId::Root).into_iter().flatten());
    while let Some(insert) = stack.pop() {
        let is_deleted = deleted.contains(&insert.id);
        if has(Fault::DepthLimited) {
            let above = insert
                .parent_id
                .element()
                .and_then(|id| depth.get(id))
                .copied();
            let here = above.unwrap_or(0) + 1;
            if here > 963 {
                continue;
            }
            depth.insert(&insert.id, here);
        }
        found.push((insert, is_deleted));
        let is_copy = !walked.insert(&insert.id);
        if is_copy || is_deleted && has(Fault::DeleteTakesChildren) {
            continue;
        }
        let parent = ParentId::Element(insert.id.clone());
        let below = children.get(&parent).into_iter().flatten();
        match has(Fault::ChildrenLast) {
            true => drop(stack.splice(0..0, below.copied())),
            false => stack.extend(below),
        }
    }
    found
}

/// Ascending order of ids: what is greater stands further left in the text.
fn compare(a: &ElementId, b: &ElementId, fault: Option<Fault>) -> Ordering {
    let (name_a, name_b) = (a.replica_id().as_str(), b.replica_id().as_str());
    let lamports = a.lamport().cmp(&b.lamport());
    match fault {
        Some(Fault::SiblingsAscending) => b.cmp(a),
        Some(Fault::ReplicaFirst) => name_a.cmp(name_b).then(lamports),
        Some(Fault::LamportAsText) => a
            .lamport()
            .to_string()
            .cmp(&b.lamport().to_string())
            .then(name_a.cmp(name_b)),
        Some(Fault::LamportIn32Bits) => (a.lamport() as u32)
            .cmp(&(b.lamport() as u32))
            .then(name_a.cmp(name_b)),
        Some(Fault::ReplicaAscending) => lamports.then(name_b.cmp(name_a)),
        Some(Fault::ReplicaInUtf16) => {
            lamports.then(name_a.encode_utf16().cmp(name_b.encode_utf16()))
        }
        Some(Fault::ReplicaFolded) => {
            lamports.then(name_a.to_lowercase().cmp(&name_b.to_lowercase()))
        }
        Some(Fault::ReplicaByLength) => lamports
            .then(name_a.len().cmp(&name_b.len()))
            .then(name_a.cmp(name_b)),
        _ => lamports.then(name_a.cmp(name_b)),
    }
}
