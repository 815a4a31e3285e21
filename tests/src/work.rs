//! Where the shipped model and data are stored, and small parts of them.

use std::path::{Path, PathBuf};

/// Files that ship with the sources.
pub struct Work;

impl Work {
    /// The shipped base model.
    pub fn model() -> PathBuf {
        Self::assets().join("base")
    }

    /// The shipped domains, in the order of their names.
    ///
    /// # Panics
    /// If they are not there.
    pub fn domains() -> Vec<PathBuf> {
        let folder = Self::assets().join("domains");
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
            .expect("the shipped data is there")
            .map(|entry| entry.expect("the folder can be read").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
            .collect();
        files.sort();
        files
    }

    fn assets() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/train/assets")
    }
}
