//! The traces that a run keeps on the disk, `--trace`: JSON Lines, a file for each case played.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::trace::Trace;

/// The folder of the traces.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    /// How often each case was played.
    played: Mutex<BTreeMap<String, usize>>,
    /// Why the first that could not be kept was not.
    failed: OnceLock<String>,
}

impl Kept {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            played: Mutex::default(),
            failed: OnceLock::new(),
        }
    }

    /// Writes the trace of a case; that of its second play has a 2 in its name.
    pub(super) fn keep(&self, case: &str, trace: &Trace) {
        let number = {
            let mut played = self.played.lock().unwrap_or_else(PoisonError::into_inner);
            let number = played.entry(case.to_owned()).or_default();
            *number += 1;
            *number
        };
        let name = match number {
            1 => format!("{case}.jsonl"),
            _ => format!("{case}.{number}.jsonl"),
        };
        let path = self.folder.join(name);
        let folder = path.parent().unwrap_or(&self.folder);
        let written =
            fs::create_dir_all(folder).and_then(|()| fs::write(&path, trace.json_lines()));
        if let Err(error) = written {
            let why = format!("{} can't be written: {error}", path.display());
            let _ = self.failed.set(why);
        }
    }

    /// Why traces are missing, where some are.
    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }
}
