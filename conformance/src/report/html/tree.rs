//! The tree of a document whose text came out wrong: the order that the specification asks for, by the
//! naive oracle, and the order of the server beside it.
//!
//! Deliberately absent: guesses. Where the frames don't hold all ops there is no tree, and where the text
//! may be read in several ways, the server's order is not drawn.

mod draw;
mod order;

use std::collections::BTreeMap;

use collab_spec::id::{ElementId, ParentId};
use collab_spec::message::{Op, Resync, ServerMessage};
use collab_spec::report::{CaseReport, Sender};
use maud::{Markup, html};

use super::words::seen;
use crate::model::{Model, Node};

/// How many elements a tree may have.
const MOST: usize = 48;

/// The areas of requirements whose breaches are about the order of elements.
const OF_ORDER: [&str; 3] = ["crdt.", "state.", "runs."];

/// A tree as it must be, and what the server has made of it.
struct Told {
    /// The elements in the order of the walk.
    nodes: Vec<Node>,
    /// The text that they make.
    text: String,
    /// The text of the server.
    got: String,
    /// The order of the server, where it can be told.
    order: Option<Vec<ElementId>>,
}

/// In words, what is wrong with the order of a document's elements, where it can be told.
pub(super) fn in_words(case: &CaseReport) -> Option<String> {
    inverted(&first(case)?)
}

/// The tree of the first breach that is about the order of a document's elements.
fn first(case: &CaseReport) -> Option<Told> {
    case.breaches.iter().find_map(|breach| {
        let told = told(case, breach.frame?)?;
        let mut areas = OF_ORDER.iter();
        let is_of_order = areas.any(|area| breach.requirement.starts_with(area));
        (is_of_order || told.text != told.got).then_some(told)
    })
}

pub(super) fn write(case: &CaseReport) -> Markup {
    let Some(told) = first(case) else {
        return html! {};
    };
    html! {
        figure.tree {
            figcaption {
                "The tree of the document. Read downwards, it is the order that the specification asks for: "
                "each element before its children, and the children of one parent with the greatest id first."
            }
            @if let Some(words) = inverted(&told) { p { b { (words) } } }
            @if told.order.is_none() && told.text != told.got {
                p { "The server's text may stand for the elements in several orders, or in none, so its order is not drawn." }
            }
            div.scroll tabindex="0" role="group" aria-label="Tree of the document" { (draw::svg(&told)) }
        }
    }
}

/// Builds the tree that the server should have had when it sent a `resync`.
fn told(case: &CaseReport, frame: usize) -> Option<Told> {
    let resync = resync(case, frame)?;
    let head = resync.server_seq.value();
    let mut ops: BTreeMap<u64, Op> = BTreeMap::new();
    for frame in &case.frames {
        let message = (frame.from == Sender::Server).then(|| message(&frame.content));
        let Some(Some(ServerMessage::OpEcho(echo))) = message else {
            continue;
        };
        // The echo of several elements carries the last of their seqs.
        let first = (echo.server_seq.value() + 1).checked_sub(echo.op.elements());
        let of_document = echo.doc_id == resync.doc_id;
        if let Some(first) = first.filter(|_| of_document && echo.op.elements() <= MOST as u64) {
            for (seq, single) in (first..).zip(echo.op.singles()) {
                if seq <= head {
                    ops.entry(seq).or_insert(single);
                }
            }
        }
    }
    let is_whole = head > 0 && ops.keys().copied().eq(1..=head);
    if !is_whole {
        return None;
    }
    let mut model = Model::new();
    ops.values().for_each(|op| model.integrate(op));
    let nodes = model.tree();
    if nodes.is_empty() || nodes.len() > MOST {
        return None;
    }
    let order = order::of(&nodes, &resync);
    Some(Told {
        text: model.text(),
        got: resync.full_text,
        order,
        nodes,
    })
}

fn resync(case: &CaseReport, frame: usize) -> Option<Resync> {
    let frame = case.frames.get(frame)?;
    match message(&frame.content)? {
        ServerMessage::Resync(resync) if frame.from == Sender::Server => Some(resync),
        _ => None,
    }
}

fn message(content: &str) -> Option<ServerMessage> {
    serde_json::from_str(content).ok()
}

/// In words, the first two siblings that the server has the wrong way round.
fn inverted(told: &Told) -> Option<String> {
    let order = told.order.as_ref()?;
    let place = |id: &ElementId| order.iter().position(|other| other == id);
    let nodes = &told.nodes;
    let visible = nodes.iter().filter(|node| !node.deleted);
    let visible: Vec<&Node> = visible.filter(|node| place(&node.id).is_some()).collect();
    let (one, two) = visible
        .windows(2)
        .map(|pair| (pair[0], pair[1]))
        .find(|(one, two)| place(&one.id) > place(&two.id))?;
    let (above, below) = (path(nodes, one), path(nodes, two));
    let forks = above.iter().zip(&below).position(|(a, b)| a.id != b.id);
    let Some(at) = forks else {
        let words = format!(
            "The server has {} in front of its ancestor {}.",
            named(two),
            named(one)
        );
        return Some(words);
    };
    let (first, second) = (above[at], below[at]);
    let parent = match &first.parent {
        ParentId::Root => "the root".to_owned(),
        ParentId::Element(id) => seen(&id.to_string()),
    };
    let why = if first.id.lamport() == second.id.lamport() {
        "equal lamports, and the greater replica first"
    } else {
        "the greater lamport first"
    };
    Some(format!(
        "Under {parent}, {} stands before {} ({why}); the server has them the other way round.",
        named(first),
        named(second)
    ))
}

/// An element in words.
fn named(node: &Node) -> String {
    let mark = if node.deleted { " (deleted)" } else { "" };
    seen(&format!("{} {:?}{mark}", node.id, node.value))
}

/// The ancestors of a node from the top, and the node.
fn path<'a>(nodes: &'a [Node], node: &'a Node) -> Vec<&'a Node> {
    let mut path = vec![node];
    let mut above = node.parent.element();
    while let Some(id) = above {
        // A parent stands before its children in the walk, so this ends.
        let Some(found) = nodes.iter().find(|other| other.id == *id) else {
            break;
        };
        path.push(found);
        above = found.parent.element();
    }
    path.reverse();
    path
}
