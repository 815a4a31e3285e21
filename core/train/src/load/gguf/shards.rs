//! Models in several files, as llama.cpp's `llama-gguf-split` makes them:
//! `NAME-00001-of-00003.gguf` and so on. The first has the metadata; `split.no` counts from 0.

use std::path::{Path, PathBuf};

use super::reader::{GgufFile, Value};
use crate::{Result, TrainError};

/// More files than any real model has.
const MOST: u64 = 4096;

/// What the first file says about the others.
pub(super) struct Split {
    count: usize,
    tensors: Option<u64>,
}

impl Split {
    /// # Errors
    /// A file that is not the first one, or an impossible count.
    pub(super) fn of(file: &GgufFile) -> Result<Self> {
        let number = |key: &str| file.get(key).and_then(Value::as_u64);
        let count = number("split.count").unwrap_or(1).max(1);
        if count > MOST {
            return Err(TrainError::format(&file.path, format!("split.count is {count}")));
        }
        let no = number("split.no").unwrap_or(0);
        if no != 0 {
            let reason = format!(
                "this is shard {} of {count}; name the first, which ends in \
                 -00001-of-{count:05}.gguf",
                no + 1
            );
            return Err(TrainError::format(&file.path, reason));
        }
        Ok(Self { count: count as usize, tensors: number("split.tensors.count") })
    }

    /// The paths of the other files.
    ///
    /// # Errors
    /// A name from which those of the other files cannot be derived.
    pub(super) fn others(&self, first: &Path) -> Result<Vec<PathBuf>> {
        if self.count == 1 {
            return Ok(Vec::new());
        }
        let ending = |number: usize| format!("-{number:05}-of-{:05}.gguf", self.count);
        let name = first.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(stem) = name.strip_suffix(&ending(1)) else {
            let reason = format!(
                "it is the first of {} shards, so its name must end in {}, as the others' do in \
                 their numbers",
                self.count,
                ending(1)
            );
            return Err(TrainError::format(first, reason));
        };
        let others = (2..=self.count).map(|n| first.with_file_name(format!("{stem}{}", ending(n))));
        Ok(others.collect())
    }

    /// # Errors
    /// A shard with another number, or of another model.
    pub(super) fn check(&self, shard: &GgufFile, place: usize) -> Result<()> {
        for (key, expected) in [("split.no", place), ("split.count", self.count)] {
            let found = shard.get(key).and_then(Value::as_u64);
            if found != Some(expected as u64) {
                let found = found.map_or("missing".to_owned(), |n| n.to_string());
                let reason = format!("{key} is {found}, expected {expected}");
                return Err(TrainError::format(&shard.path, reason));
            }
        }
        Ok(())
    }

    /// # Errors
    /// A total number of tensors that differs from what the first file says.
    pub(super) fn check_total(&self, file: &GgufFile) -> Result<()> {
        let found = file.tensors.len() as u64;
        match self.tensors {
            Some(expected) if expected != found => {
                let reason =
                    format!("{found} tensors in {} shards, expected {expected}", self.count);
                Err(TrainError::format(&file.path, reason))
            }
            _ => Ok(()),
        }
    }
}
