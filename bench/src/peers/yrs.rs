//! Yrs: an update a transaction, in its first format.

use yrs::updates::decoder::Decode;
use yrs::{Doc, GetString, ReadTxn, StateVector, Text, TextRef, Transact, Update};

use super::Peer;
use crate::trace::Edit;

pub struct Yrs;

fn document(author: u64) -> (Doc, TextRef) {
    let doc = Doc::with_client_id(author);
    let text = doc.get_or_insert_text("text");
    (doc, text)
}

impl Peer for Yrs {
    const NAME: &'static str = "yrs";
    type Writer = (Doc, TextRef);
    type Reader = (Doc, TextRef);
    type Update = Update;

    fn writer(author: u64) -> Self::Writer {
        document(author)
    }

    fn edit((doc, text): &mut Self::Writer, edit: &Edit) -> Vec<u8> {
        let mut txn = doc.transact_mut();
        match edit.deleted {
            0 => text.insert(&mut txn, edit.at as u32, &edit.inserted),
            _ => text.remove_range(&mut txn, edit.at as u32, edit.deleted as u32),
        }
        txn.encode_update_v1()
    }

    fn receive(writer: &mut Self::Writer, bytes: &[u8]) {
        Self::integrate(writer, Self::decode(bytes));
    }

    fn length((doc, text): &Self::Writer) -> usize {
        text.len(&doc.transact()) as usize
    }

    fn reader() -> Self::Reader {
        document(1 << 32)
    }

    fn decode(bytes: &[u8]) -> Update {
        Update::decode_v1(bytes).expect("an update")
    }

    fn integrate((doc, _): &mut Self::Reader, update: Update) {
        doc.transact_mut().apply_update(update).expect("it applies");
    }

    fn text((doc, text): &Self::Reader) -> String {
        text.get_string(&doc.transact())
    }

    fn save((doc, _): &mut Self::Reader) -> Vec<u8> {
        doc.transact()
            .encode_state_as_update_v1(&StateVector::default())
    }

    fn load(bytes: &[u8]) -> Self::Reader {
        let mut reader = Self::reader();
        Self::receive(&mut reader, bytes);
        reader
    }
}
