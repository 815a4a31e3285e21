//! Puts a file or folder aside before it is changed: a repair discards no stored data.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::conditions::unix_s;
use crate::durable::{self, DiskError, PRIVATE_FILE};

/// Copies the file to a free name beside it, durably.
pub(super) fn copy(path: &Path, why: &str) -> Result<PathBuf, DiskError> {
    let aside = free_name(path, why);
    let copied = (|| {
        let mut from = fs::File::open(path)?;
        let mut to =
            fs::OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(&aside)?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()
    })();
    if let Err(error) = copied {
        // The partial copy is useless, and the disk may be full.
        let _ = fs::remove_file(&aside);
        return Err(DiskError::at(&aside, error));
    }
    durable::sync_folder(durable::parent(path))?;
    Ok(aside)
}

/// Renames the file or folder to a free name beside it.
pub(super) fn rename(path: &Path, why: &str) -> Result<PathBuf, DiskError> {
    let aside = free_name(path, why);
    fs::rename(path, &aside).map_err(|error| DiskError::at(path, error))?;
    durable::sync_folder(durable::parent(path))?;
    Ok(aside)
}

/// `NAME.WHY-SECONDS`, with a number appended if that name is taken.
fn free_name(path: &Path, why: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let first = path.with_file_name(format!("{name}.{why}-{}", unix_s()));
    let more = (1_u32..).map(|count| {
        let mut name = first.clone().into_os_string();
        name.push(format!("-{count}"));
        PathBuf::from(name)
    });
    std::iter::once(first.clone()).chain(more).find(|path| !path.exists()).unwrap_or(first)
}
