//! The data files of the specification, embedded and parsed.

use include_dir::{Dir, include_dir};
use serde::de::DeserializeOwned;

use crate::frame::FrameTable;
use crate::scenario::Scenario;
use crate::vector::VectorFile;

static SCENARIOS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios");
static FRAMES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/frames");
static VECTORS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/vectors");

/// A data file that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}")]
pub struct DataError {
    /// The path below the kind's folder.
    pub path: String,
    /// What is wrong.
    pub error: String,
}

/// A data file: its path below the kind's folder, without `.json`, and its content.
#[derive(Clone, Debug)]
pub struct DataFile<T> {
    /// The path, such as `sync/replay-mid`.
    pub path: String,
    /// The text of the file.
    pub text: &'static str,
    /// What it holds.
    pub content: T,
}

/// Every scenario, in the order of their paths.
///
/// Errors: a file that does not fit its type.
pub fn scenarios() -> Result<Vec<DataFile<Scenario>>, DataError> {
    load(&SCENARIOS)
}

/// Every table of frames, in the order of their paths.
///
/// Errors: a file that does not fit its type.
pub fn frames() -> Result<Vec<DataFile<FrameTable>>, DataError> {
    load(&FRAMES)
}

/// Every file of CRDT vectors, in the order of their paths.
///
/// Errors: a file that does not fit its type.
pub fn vectors() -> Result<Vec<DataFile<VectorFile>>, DataError> {
    load(&VECTORS)
}

fn load<T: DeserializeOwned>(dir: &'static Dir<'static>) -> Result<Vec<DataFile<T>>, DataError> {
    let mut texts = Vec::new();
    collect(dir, &mut texts);
    texts.sort();
    texts
        .into_iter()
        .map(|(path, text)| match serde_json::from_str(text) {
            Ok(content) => Ok(DataFile {
                path,
                text,
                content,
            }),
            Err(error) => Err(DataError {
                path,
                error: error.to_string(),
            }),
        })
        .collect()
}

/// Finds the JSON files at any depth; folders are few and shallow.
fn collect(dir: &'static Dir<'static>, found: &mut Vec<(String, &'static str)>) {
    for file in dir.files() {
        let path = file.path().to_string_lossy().replace('\\', "/");
        if let (Some(path), Some(text)) = (path.strip_suffix(".json"), file.contents_utf8()) {
            found.push((path.to_owned(), text));
        }
    }
    for inner in dir.dirs() {
        collect(inner, found);
    }
}
