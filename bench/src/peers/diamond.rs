//! Diamond types: a patch an edit; and the same ops by position, handed over without any encoding.

use diamond_types::list::encoding::{ENCODE_FULL, ENCODE_PATCH};
use diamond_types::list::{ListCRDT, OpLog};
use serde::{Deserialize, Serialize};

use super::Peer;
use crate::trace::Edit;

pub struct Diamond;

pub struct Document {
    list: ListCRDT,
    agent: u32,
}

fn document(author: u64) -> Document {
    let mut list = ListCRDT::new();
    let agent = list.get_or_create_agent_id(&format!("author-{author}"));
    Document { list, agent }
}

fn edit(writer: &mut Document, edit: &Edit) {
    match edit.deleted {
        0 => writer.list.insert(writer.agent, edit.at, &edit.inserted),
        deleted => writer
            .list
            .delete_without_content(writer.agent, edit.at..edit.at + deleted),
    };
}

impl Peer for Diamond {
    const NAME: &'static str = "diamond-types";
    const ANY_ORDER: bool = false;
    type Writer = Document;
    type Reader = Document;
    type Update = Vec<u8>;

    fn writer(author: u64) -> Document {
        document(author)
    }

    fn edit(writer: &mut Document, one: &Edit) -> Vec<u8> {
        let before = writer.list.oplog.local_version();
        edit(writer, one);
        writer.list.oplog.encode_from(ENCODE_PATCH, &before)
    }

    fn receive(writer: &mut Document, bytes: &[u8]) {
        Self::integrate(writer, bytes.to_vec());
    }

    fn length(writer: &Document) -> usize {
        writer.list.len()
    }

    fn reader() -> Document {
        document(1 << 32)
    }

    fn decode(bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    fn integrate(reader: &mut Document, update: Vec<u8>) {
        reader.list.merge_data_and_ff(&update).expect("it merges");
    }

    fn text(reader: &Document) -> String {
        reader.list.branch.content().to_string()
    }

    fn save(reader: &mut Document) -> Vec<u8> {
        reader.list.oplog.encode(ENCODE_FULL)
    }

    fn load(bytes: &[u8]) -> Document {
        let list = ListCRDT::load_from(bytes).expect("it loads");
        Document { list, agent: 0 }
    }
}

/// The same of one author, for whom positions are enough.
pub struct ByPosition;

#[derive(Serialize, Deserialize)]
pub struct Update {
    parent: Option<usize>,
    at: usize,
    inserted: String,
}

impl Peer for ByPosition {
    const NAME: &'static str = "diamond-types, by position";
    const ANY_ORDER: bool = false;
    type Writer = Document;
    type Reader = Document;
    type Update = Update;

    fn writer(author: u64) -> Document {
        document(author)
    }

    fn edit(writer: &mut Document, one: &Edit) -> Vec<u8> {
        let parent = writer.list.oplog.local_version().first().copied();
        edit(writer, one);
        let (at, inserted) = (one.at, one.inserted.clone());
        let update = Update {
            parent,
            at,
            inserted,
        };
        postcard::to_stdvec(&update).expect("it is written")
    }

    fn receive(_: &mut Document, _: &[u8]) {
        unimplemented!("it has one writer")
    }

    fn length(writer: &Document) -> usize {
        writer.list.len()
    }

    fn reader() -> Document {
        document(1)
    }

    fn decode(bytes: &[u8]) -> Update {
        postcard::from_bytes(bytes).expect("an update")
    }

    fn integrate(reader: &mut Document, update: Update) {
        let oplog: &mut OpLog = &mut reader.list.oplog;
        let parents: &[usize] = update.parent.as_slice();
        let time = match update.inserted.is_empty() {
            false => oplog.add_insert_at(reader.agent, parents, update.at, &update.inserted),
            true => oplog.add_delete_at(reader.agent, parents, update.at..update.at + 1),
        };
        reader.list.branch.merge(oplog, &[time]);
    }

    fn text(reader: &Document) -> String {
        Diamond::text(reader)
    }

    fn save(reader: &mut Document) -> Vec<u8> {
        Diamond::save(reader)
    }

    fn load(bytes: &[u8]) -> Document {
        Diamond::load(bytes)
    }
}
