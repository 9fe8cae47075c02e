//! Cola, which keeps no text, with a rope of `crop` for that. It has no wire form but what serde makes
//! of its insertions and deletions; here that is written with `postcard`.

use cola::{Deletion, EncodedReplica, Insertion, Replica};
use crop::Rope;
use serde::{Deserialize, Serialize};

use super::Peer;
use crate::trace::Edit;

pub struct Cola;

#[derive(Serialize, Deserialize)]
pub enum Update {
    Inserted(Insertion, String),
    Deleted(Deletion),
}

pub struct Document {
    replica: Replica,
    rope: Rope,
    /// What each author inserted whose insertions came too early, by its place in time.
    early: Vec<(u64, usize, String)>,
}

fn document(author: u64) -> Document {
    Document {
        replica: Replica::new(author, 0),
        rope: Rope::new(),
        early: Vec::new(),
    }
}

impl Document {
    fn take_in(&mut self, update: Update) {
        match update {
            Update::Inserted(insertion, value) => {
                let Some(at) = self.replica.integrate_insertion(&insertion) else {
                    let text = insertion.text();
                    let from = text.temporal_range().start;
                    self.early.push((text.inserted_by(), from, value));
                    return;
                };
                self.rope.insert(at, &value);
            }
            Update::Deleted(deletion) => {
                let ranges = self.replica.integrate_deletion(&deletion);
                if ranges.is_empty() {
                    return;
                }
                self.delete(ranges);
            }
        }
        self.unlock();
    }

    fn delete(&mut self, ranges: Vec<std::ops::Range<usize>>) {
        for range in ranges.into_iter().rev() {
            self.rope.delete(range);
        }
    }

    /// Takes in what waited.
    fn unlock(&mut self) {
        if !self.early.is_empty() {
            let ready: Vec<_> = self.replica.backlogged_insertions().collect();
            if !ready.is_empty() && !self.early.is_sorted_by_key(|it| (it.0, it.1)) {
                self.early.sort_unstable_by_key(|it| (it.0, it.1));
            }
            for (text, at) in ready {
                let key = (text.inserted_by(), text.temporal_range().start);
                let value = self.early.binary_search_by_key(&key, |it| (it.0, it.1));
                self.rope
                    .insert(at, &self.early[value.expect("it came early")].2);
            }
        }
        let ready: Vec<_> = self.replica.backlogged_deletions().collect();
        for ranges in ready {
            self.delete(ranges);
        }
    }
}

impl Peer for Cola {
    const NAME: &'static str = "cola + crop";
    type Writer = Document;
    type Reader = Document;
    type Update = Update;

    fn writer(author: u64) -> Document {
        // Replicas begin as forks of one.
        Document {
            replica: Replica::new(1 << 33, 0).fork(author),
            ..document(1)
        }
    }

    fn edit(writer: &mut Document, edit: &Edit) -> Vec<u8> {
        let update = match edit.deleted {
            0 => {
                writer.rope.insert(edit.at, &edit.inserted);
                let insertion = writer.replica.inserted(edit.at, edit.inserted.len());
                Update::Inserted(insertion, edit.inserted.clone())
            }
            deleted => {
                writer.rope.delete(edit.at..edit.at + deleted);
                Update::Deleted(writer.replica.deleted(edit.at..edit.at + deleted))
            }
        };
        postcard::to_stdvec(&update).expect("it is written")
    }

    fn receive(writer: &mut Document, bytes: &[u8]) {
        writer.take_in(Self::decode(bytes));
    }

    fn length(writer: &Document) -> usize {
        writer.replica.len()
    }

    fn reader() -> Document {
        Self::writer(1 << 32)
    }

    fn decode(bytes: &[u8]) -> Update {
        postcard::from_bytes(bytes).expect("an update")
    }

    fn integrate(reader: &mut Document, update: Update) {
        reader.take_in(update);
    }

    fn text(reader: &Document) -> String {
        reader.rope.to_string()
    }

    fn save(reader: &mut Document) -> Vec<u8> {
        let encoded = reader.replica.encode();
        let saved = (encoded.as_bytes(), reader.rope.to_string());
        postcard::to_stdvec(&saved).expect("it is written")
    }

    fn load(bytes: &[u8]) -> Document {
        let (encoded, text): (&[u8], &str) = postcard::from_bytes(bytes).expect("it was saved");
        let encoded = EncodedReplica::from_bytes(encoded);
        Document {
            replica: Replica::decode(1 << 34, &encoded).expect("a replica"),
            rope: Rope::from(text),
            early: Vec::new(),
        }
    }
}
