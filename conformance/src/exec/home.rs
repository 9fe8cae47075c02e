//! A folder for what a server keeps: there from its first start to its last end.

use std::path::{Path, PathBuf};

use crate::context::fresh_id;

/// A fresh folder, which goes when it is dropped.
#[derive(Debug)]
pub(super) struct Home(PathBuf);

impl Home {
    pub(super) fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(fresh_id("collab-conformance"));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(super) fn remove(&self) {
        // A server may still write; what is left is the system's to clean up.
        let _ = std::fs::remove_dir_all(&self.0);
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.remove();
    }
}
