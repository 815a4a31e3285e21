//! The demo's work folder: only what the demo made itself is ever removed.

use std::fs;
use std::path::{Path, PathBuf};

use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;

use crate::failure::Failure;

/// Marks a folder as the demo's own.
const MARK: &str = ".fedshield-demo";
const MARK_TEXT: &str =
    "This folder was made by `fedshield-cli demo`, which empties it at its next run.\n";

/// The longest path of a Unix socket on Linux, without the zero byte.
const MAX_SOCKET_PATH_BYTES: usize = 107;

/// A claimed, empty folder.
#[derive(Debug)]
pub struct WorkFolder {
    path: PathBuf,
}

impl WorkFolder {
    /// Makes the folder, or empties it if an earlier demo made it.
    ///
    /// # Errors
    /// If something else is there; it is left untouched.
    pub fn claim(path: &Path) -> Result<Self, Failure> {
        let io = |doing| move |error| Failure::io(doing, path, &error);
        if path.exists() {
            if !path.is_dir() {
                return Err(foreign(path, "is not a folder"));
            }
            let empty = fs::read_dir(path).map_err(io("read the folder"))?.next().is_none();
            let ours = fs::read_to_string(path.join(MARK)).is_ok_and(|text| text == MARK_TEXT);
            if !empty && !ours {
                return Err(foreign(path, "has files that the demo did not make"));
            }
            clear(path)?;
        }
        fs::create_dir_all(path).map_err(io("make the folder"))?;
        let path = path.canonicalize().map_err(io("find the folder"))?;
        fs::write(path.join(MARK), MARK_TEXT).map_err(io("write to the folder"))?;
        Ok(Self { path })
    }

    /// Its absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The home of the member called `name`.
    ///
    /// # Errors
    /// If its control socket would have too long a path for the system.
    pub fn home(&self, name: &str) -> Result<PathBuf, Failure> {
        let home = self.path.join("homes").join(name);
        let socket = Home::new(&home).control_socket();
        if socket.as_os_str().len() > MAX_SOCKET_PATH_BYTES {
            return Err(Failure::new(
                ErrorCode::InvalidRequest,
                format!(
                    "the path is too long for a Unix socket (over {MAX_SOCKET_PATH_BYTES} bytes)"
                ),
            )
            .at(socket.display())
            .next("choose a shorter folder, for instance `--out /tmp/demo`"));
        }
        Ok(home)
    }

    /// Removes the members' homes, with their keys, stores and logs.
    ///
    /// # Errors
    /// If the disk refuses to remove them.
    pub fn drop_homes(&self) -> Result<(), Failure> {
        let homes = self.path.join("homes");
        fs::remove_dir_all(&homes).map_err(|error| Failure::io("remove the homes", &homes, &error))
    }
}

fn clear(path: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(path).map_err(|error| Failure::io("read the folder", path, &error))? {
        let entry = entry.map_err(|error| Failure::io("read the folder", path, &error))?;
        let path = entry.path();
        // A link is removed, never followed.
        let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|error| Failure::io("remove what an earlier demo made", &path, &error))?;
    }
    Ok(())
}

fn foreign(path: &Path, why: &str) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, format!("the work folder {why}"))
        .at(path.display())
        .next("choose an empty or new one with `--out DIR`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_other_files_is_refused_and_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("thesis.txt");
        fs::write(&file, "years of work").unwrap();
        let failure = WorkFolder::claim(folder.path()).unwrap_err();
        assert!(failure.what.contains("did not make"), "{failure}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "years of work");
        fs::write(folder.path().join(MARK), "not the text").unwrap();
        assert!(WorkFolder::claim(folder.path()).is_err());
        assert!(WorkFolder::claim(&file).is_err());
    }

    #[test]
    fn an_own_folder_is_emptied_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let kept = folder.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        let work = WorkFolder::claim(&out).unwrap();
        fs::create_dir_all(work.path().join("homes/bank")).unwrap();
        std::os::unix::fs::symlink(&kept, work.path().join("link")).unwrap();
        let work = WorkFolder::claim(&out).unwrap();
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 1);
        assert!(kept.join("file").exists());
    }

    #[test]
    fn an_empty_folder_may_be_used() {
        let folder = tempfile::tempdir().unwrap();
        WorkFolder::claim(folder.path()).unwrap();
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_refused_before_anything_starts() {
        let folder = tempfile::tempdir().unwrap();
        let work = WorkFolder::claim(&folder.path().join("x".repeat(100))).unwrap();
        let failure = work.home("bank").unwrap_err();
        assert!(failure.next.unwrap().contains("--out"));
    }
}
