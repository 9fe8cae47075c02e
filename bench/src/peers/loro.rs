//! Loro: an update a commit, a fast snapshot.

use loro::{ExportMode, LoroDoc, LoroText, VersionVector};

use super::Peer;
use crate::trace::Edit;

pub struct Loro;

pub struct Document {
    doc: LoroDoc,
    text: LoroText,
    /// What has been exported.
    exported: VersionVector,
}

fn document(author: u64) -> Document {
    let doc = LoroDoc::new();
    doc.set_peer_id(author).expect("a peer id");
    let text = doc.get_text("text");
    let exported = doc.oplog_vv();
    Document {
        doc,
        text,
        exported,
    }
}

impl Peer for Loro {
    const NAME: &'static str = "loro";
    type Writer = Document;
    type Reader = Document;
    type Update = Vec<u8>;

    fn writer(author: u64) -> Document {
        document(author)
    }

    fn edit(writer: &mut Document, edit: &Edit) -> Vec<u8> {
        let done = match edit.deleted {
            0 => writer.text.insert(edit.at, &edit.inserted),
            deleted => writer.text.delete(edit.at, deleted),
        };
        done.expect("an edit");
        writer.doc.commit();
        let update = writer.doc.export(ExportMode::updates(&writer.exported));
        writer.exported = writer.doc.oplog_vv();
        update.expect("an update")
    }

    fn receive(writer: &mut Document, bytes: &[u8]) {
        writer.doc.import(bytes).expect("it imports");
        writer.exported = writer.doc.oplog_vv();
    }

    fn length(writer: &Document) -> usize {
        writer.text.len_unicode()
    }

    fn reader() -> Document {
        document(1 << 32)
    }

    fn decode(bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    fn integrate(reader: &mut Document, update: Vec<u8>) {
        reader.doc.import(&update).expect("it imports");
    }

    fn text(reader: &Document) -> String {
        reader.text.to_string()
    }

    fn save(reader: &mut Document) -> Vec<u8> {
        reader.doc.export(ExportMode::Snapshot).expect("a snapshot")
    }

    fn load(bytes: &[u8]) -> Document {
        let reader = Self::reader();
        reader.doc.import(bytes).expect("it imports");
        // It unpacks the text when it is first asked for.
        std::hint::black_box(reader.text.to_string());
        reader
    }
}
