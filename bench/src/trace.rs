//! Edits by position, and what replicas of this protocol make of them.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use collab_spec::id::{ElementId, Integer, Name, ParentId};
use collab_spec::message::{Delete, Insert, Op};
use flate2::read::GzDecoder;
use serde::Deserialize;

/// An edit of one author: at a position, so many characters deleted, then these inserted.
#[derive(Clone, Debug)]
pub struct Edit {
    pub at: usize,
    pub deleted: usize,
    pub inserted: String,
}

/// The edits of one author, and the text that they make.
#[derive(Clone, Debug)]
pub struct Trace {
    pub edits: Vec<Edit>,
    pub text: String,
}

/// How a packed file begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    end_content: String,
    txns: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    patches: Vec<(usize, usize, String)>,
}

impl Trace {
    /// The trace automerge-paper: the typing of a paper by Martin Kleppmann, 182,315 inserts and
    /// 77,463 deletes of one character. The sources of the crate `loro-internal` hold it.
    pub fn automerge_paper() -> Self {
        Self::read(&loro_internal().join("benches/automerge-paper.json.gz"))
            .expect("the crate has the trace")
    }

    /// A trace of one author, in the form of the published `editing-traces`, packed with gzip or not.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut json = std::fs::read(path)?;
        if json.starts_with(&GZIP) {
            let packed = std::mem::take(&mut json);
            GzDecoder::new(&packed[..]).read_to_end(&mut json)?;
        }
        let file: File = serde_json::from_slice(&json)?;
        let patches = file.txns.into_iter().flat_map(|it| it.patches);
        let edits = patches.map(|(at, deleted, inserted)| Edit {
            at,
            deleted,
            inserted,
        });
        Ok(Self {
            edits: edits.collect(),
            text: file.end_content,
        })
    }

    /// The same, one character an edit.
    pub fn singles(&self) -> Vec<Edit> {
        let mut singles = Vec::new();
        for edit in &self.edits {
            for _ in 0..edit.deleted {
                singles.push(Edit {
                    at: edit.at,
                    deleted: 1,
                    inserted: String::new(),
                });
            }
            for (offset, value) in edit.inserted.chars().enumerate() {
                singles.push(Edit {
                    at: edit.at + offset,
                    deleted: 0,
                    inserted: value.into(),
                });
            }
        }
        singles
    }
}

/// Where cargo keeps the sources of `loro-internal`.
fn loro_internal() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages.iter().find(|it| it["name"] == "loro-internal");
    let manifest = package.and_then(|it| it["manifest_path"].as_str());
    let manifest = PathBuf::from(manifest.expect("it is a dependency"));
    manifest.parent().expect("a folder").to_owned()
}

pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub fn id(lamport: u64, replica: &Name) -> ElementId {
    let lamport = Integer::new(lamport).expect("a lamport");
    ElementId::new(lamport, replica.clone()).expect("not 0")
}

pub fn insert(parent: Option<ElementId>, id: ElementId, value: char) -> Op {
    Op::Ins(Insert {
        parent_id: parent.map_or(ParentId::Root, ParentId::Element),
        id,
        value: value.into(),
    })
}

/// Our ops, one character each, for the edits of one author.
pub fn ops(edits: &[Edit], author: &str) -> Vec<Op> {
    let author = name(author);
    let mut visible = Chunks::default();
    let mut lamport = 0;
    let mut ops = Vec::new();
    for edit in edits {
        for _ in 0..edit.deleted {
            let target = visible.remove(edit.at);
            ops.push(Op::Del(Delete::one(id(target, &author))));
        }
        for (at, value) in (edit.at..).zip(edit.inserted.chars()) {
            lamport += 1;
            let parent = at.checked_sub(1).map(|at| id(visible.at(at), &author));
            ops.push(insert(parent, id(lamport, &author), value));
            visible.insert(at, lamport);
        }
    }
    ops
}

/// The lamports of the visible characters, in chunks.
#[derive(Default)]
struct Chunks(Vec<Vec<u64>>);

impl Chunks {
    fn find(&self, mut at: usize) -> (usize, usize) {
        for (chunk, lamports) in self.0.iter().enumerate() {
            if at < lamports.len() {
                return (chunk, at);
            }
            at -= lamports.len();
        }
        panic!("there is no such position")
    }

    fn at(&self, at: usize) -> u64 {
        let (chunk, at) = self.find(at);
        self.0[chunk][at]
    }

    fn remove(&mut self, at: usize) -> u64 {
        let (chunk, at) = self.find(at);
        let lamport = self.0[chunk].remove(at);
        if self.0[chunk].is_empty() {
            self.0.remove(chunk);
        }
        lamport
    }

    fn insert(&mut self, at: usize, lamport: u64) {
        let Some(before) = at.checked_sub(1) else {
            self.0.insert(0, vec![lamport]);
            return;
        };
        let (chunk, at) = self.find(before);
        let lamports = &mut self.0[chunk];
        lamports.insert(at + 1, lamport);
        if lamports.len() > 512 {
            let rest = lamports.split_off(256);
            self.0.insert(chunk + 1, rest);
        }
    }
}
