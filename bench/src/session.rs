//! Sessions of several authors, made from a seed.
//!
//! They stand for recorded ones of their kind: bursts of typing, some backspaces, a jump elsewhere.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::peers::Peer;
use crate::trace::Edit;

/// What an author's hand does.
#[derive(Clone, Copy)]
enum Key {
    Type(char),
    Backspace,
    /// To a place in the text, as a part of its length.
    Jump(f64),
}

/// What is done in turn, and after how many keys all authors see each other's.
pub struct Session {
    pub name: &'static str,
    authors: usize,
    keys: Vec<(usize, Key)>,
    exchange: usize,
}

impl Session {
    /// Authors who write at once; each sees the others' edits with a small delay.
    pub fn live(authors: usize, keys: usize) -> Self {
        Self::new("live", authors, keys, 4)
    }

    /// Authors who write on their own, and meet at the end.
    pub fn apart(authors: usize, keys: usize) -> Self {
        Self::new("apart", authors, keys, usize::MAX)
    }

    fn new(name: &'static str, authors: usize, count: usize, exchange: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(7);
        let mut keys = Vec::new();
        while keys.len() < count {
            let author = rng.random_range(0..authors);
            let key = match rng.random_range(0..100) {
                0..2 => Key::Jump(rng.random()),
                2..18 => Key::Backspace,
                _ => Key::Type(char::from(rng.random_range(b'a'..=b'z'))),
            };
            keys.push((author, key));
        }
        Self {
            name,
            authors,
            keys,
            exchange,
        }
    }

    /// The bytes of all edits, in the order in which they were made, and the text's length.
    pub fn record<P: Peer>(&self) -> (Vec<Vec<u8>>, usize) {
        let mut writers: Vec<P::Writer> = (1..=self.authors as u64).map(P::writer).collect();
        let mut carets = vec![0; self.authors];
        let mut sent: Vec<(usize, Vec<u8>)> = Vec::new();
        let mut exchanged = 0;
        for &(author, key) in &self.keys {
            let writer = &mut writers[author];
            let caret = &mut carets[author];
            let length = P::length(writer);
            *caret = length.min(*caret);
            let edit = match key {
                Key::Jump(part) => {
                    *caret = (part * length as f64) as usize;
                    None
                }
                Key::Type(value) => {
                    *caret += 1;
                    Some(Edit {
                        at: *caret - 1,
                        deleted: 0,
                        inserted: value.into(),
                    })
                }
                Key::Backspace if *caret == 0 => None,
                Key::Backspace => {
                    *caret -= 1;
                    Some(Edit {
                        at: *caret,
                        deleted: 1,
                        inserted: String::new(),
                    })
                }
            };
            sent.extend(edit.map(|edit| (author, P::edit(writer, &edit))));
            if sent.len() - exchanged >= self.exchange {
                exchange::<P>(&mut writers, &sent[exchanged..]);
                exchanged = sent.len();
            }
        }
        exchange::<P>(&mut writers, &sent[exchanged..]);
        let bytes = sent.into_iter().map(|(_, bytes)| bytes).collect();
        (bytes, P::length(&writers[0]))
    }
}

fn exchange<P: Peer>(writers: &mut [P::Writer], sent: &[(usize, Vec<u8>)]) {
    for (author, bytes) in sent {
        for (at, writer) in writers.iter_mut().enumerate() {
            if at != *author {
                P::receive(writer, bytes);
            }
        }
    }
}
