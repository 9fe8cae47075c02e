//! The drawing of a tree: a row for each element, at the right the server's order, joined by lines.

use std::collections::HashMap;
use std::fmt::Write as _;

use collab_spec::id::{ElementId, ParentId};
use maud::{Markup, html};
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::{Node, Told};
use crate::report::html::words::seen;
use crate::validate::shortened;

const ROW: usize = 26;
const HEAD: usize = 58;
const INDENT: usize = 26;
const LEFT: usize = 18;
const BOX: usize = 22;
const CHAR: usize = 8;
const HEAD_CHAR: usize = 9;

/// How many characters stand in front of a text in the head, and its quotes.
const HEADS: usize = 30;

/// How many characters of an id are shown.
const MOST_CHARS: usize = 26;

/// An element at its place.
struct Placed<'a> {
    node: &'a Node,
    x: usize,
    y: usize,
    /// The place of its parent.
    from: (usize, usize),
}

pub(super) fn svg(told: &Told) -> Markup {
    let placed = place(&told.nodes);
    let label = |one: &Placed<'_>| one.x + BOX + 8 + id(&one.node.id).chars().count() * CHAR;
    let right = placed.iter().map(label).max().unwrap_or(0) + 14;
    let server = right + 130;
    let order = told.order.as_deref().unwrap_or_default();
    let rows = placed.len().max(order.len()) + 1;
    let height = HEAD + rows * ROW + 8;
    let texts = told.text.chars().count().max(told.got.chars().count());
    let heads = (HEADS + texts) * HEAD_CHAR;
    let drawn = if order.is_empty() {
        right
    } else {
        server + 250
    };
    let width = drawn.max(heads);
    let asked: Vec<&ElementId> = placed
        .iter()
        .filter(|one| !one.node.deleted)
        .map(|one| &one.node.id)
        .collect();
    let moved = moved(&asked, order);
    let places: HashMap<&ElementId, &Placed<'_>> =
        placed.iter().map(|one| (&one.node.id, one)).collect();
    html! {
        svg role="img" aria-label={ "The specification asks for the text " (quoted(&told.text)) ", the server has " (quoted(&told.got)) }
            width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } {
            text.h2 x="4" y="16" { "as the specification asks: " (quoted(&told.text)) }
            text.h2 x="4" y="36" { "as the server has it: " (quoted(&told.got)) }
            circle.root cx=(LEFT) cy=(HEAD + ROW / 2) r="6" {}
            text.l x=(LEFT + BOX) y=(HEAD + ROW / 2 + 4) { "the root, [0,\"root\"]" }
            @for one in &placed { path.edge d=(edge(one)) {} }
            @for one in &placed { (element(one, moved.contains(&&one.node.id))) }
            @if !order.is_empty() {
                text.t x=(server - 8) y=(HEAD + ROW / 2 + 4) { "the server's order" }
                @for (at, found) in order.iter().enumerate() {
                    @let y = row(at + 1);
                    @let is_moved = moved.contains(&found);
                    @if let Some(one) = places.get(found) {
                        path class={ "join" @if is_moved { " bad" } }
                            d={ "M" (label(one) + 4) " " (one.y) "L" (server - 12) " " (y) } {}
                        (boxed(server, y, one.node, is_moved))
                    }
                    text.l x=(server + BOX + 4) y=(y + 4) { (id(found)) @if is_moved { tspan.flag { " ◀ moved" } } }
                }
            }
        }
    }
}

fn row(at: usize) -> usize {
    HEAD + at * ROW + ROW / 2
}

/// Finds a place for each element: children at the right of their parent, an only child under it.
fn place(nodes: &[Node]) -> Vec<Placed<'_>> {
    let mut children: HashMap<&ParentId, usize> = HashMap::new();
    for node in nodes {
        *children.entry(&node.parent).or_default() += 1;
    }
    let mut places: HashMap<&ElementId, (usize, usize)> = HashMap::new();
    let mut placed = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let root = (LEFT, row(0));
        let from = node.parent.element();
        let from = from.map_or(root, |parent| places.get(parent).copied().unwrap_or(root));
        let is_only = children[&node.parent] == 1 && node.parent != ParentId::Root;
        let x = from.0 + if is_only { 0 } else { INDENT };
        let y = row(at + 1);
        places.insert(&node.id, (x, y));
        placed.push(Placed { node, x, y, from });
    }
    placed
}

fn edge(one: &Placed<'_>) -> String {
    let (x, y) = one.from;
    let mut path = format!("M{x} {}V{}", y + 9, one.y);
    if one.x > x {
        // Writing into a string does not fail.
        let _ = write!(path, "H{}", one.x - 9);
    }
    path
}

fn element(one: &Placed<'_>, is_moved: bool) -> Markup {
    html! {
        (boxed(one.x, one.y, one.node, is_moved))
        text.l x=(one.x + BOX - 4) y=(one.y + 4) { (id(&one.node.id)) }
    }
}

/// A character in a box; of a deleted element struck through.
fn boxed(x: usize, y: usize, node: &Node, is_moved: bool) -> Markup {
    html! {
        rect class={ "box" @if node.deleted { " gone" } @if is_moved { " bad" } }
            x=(x - 10) y=(y - 10) width="20" height="20" rx="4" {}
        text class={ "c" @if node.deleted { " gone" } } x=(x) y=(y + 4) { (value(node.value)) }
        @if node.deleted { path.strike d={ "M" (x - 8) " " (y + 8) "l16-16" } {} }
    }
}

/// A character as it can be looked at in a box.
fn value(c: char) -> String {
    match c {
        ' ' => "␣".to_owned(),
        c if c.is_control() && u32::from(c) < 0x20 => {
            char::from_u32(0x2400 + u32::from(c)).map_or_else(|| "?".to_owned(), String::from)
        }
        c => {
            let text = seen(&c.to_string());
            if text.chars().count() > 1 {
                "?".to_owned()
            } else {
                text
            }
        }
    }
}

fn id(id: &ElementId) -> String {
    shortened(&seen(&id.to_string()), MOST_CHARS)
}

fn quoted(text: &str) -> String {
    seen(&format!("{text:?}"))
}

/// The elements that stand in another place of the server's order: those outside what both have in common.
fn moved<'a>(asked: &[&'a ElementId], order: &'a [ElementId]) -> Vec<&'a ElementId> {
    let order: Vec<&ElementId> = order.iter().collect();
    let mut moved = Vec::new();
    if order.is_empty() {
        return moved;
    }
    for op in capture_diff_slices(Algorithm::Myers, asked, &order) {
        if !matches!(op, DiffOp::Equal { .. }) {
            moved.extend_from_slice(&asked[op.old_range()]);
            moved.extend_from_slice(&order[op.new_range()]);
        }
    }
    moved
}
