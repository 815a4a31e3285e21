//! Whether files have changed, by their metadata alone.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Metadata of files and folders at one time. Two fingerprints that differ show that something
/// changed between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, Result<FileStat, io::ErrorKind>)>);

/// One file's device, inode number, length, and times of modification and of metadata change.
type FileStat = [i128; 5];

impl Fingerprint {
    /// The fingerprint of `paths`, and of the entries of those that are folders.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut all = Vec::new();
        for path in paths {
            all.push(stat(path));
            let mut inside: Vec<PathBuf> = std::fs::read_dir(path)
                .into_iter()
                .flatten()
                .flatten()
                .map(|it| it.path())
                .collect();
            inside.sort();
            all.extend(inside.iter().map(|path| stat(path)));
        }
        Self(all)
    }
}

fn stat(path: &Path) -> (PathBuf, Result<FileStat, io::ErrorKind>) {
    let stat = std::fs::metadata(path).map(|it| of_metadata(&it)).map_err(|error| error.kind());
    (path.to_owned(), stat)
}

fn of_metadata(it: &Metadata) -> FileStat {
    let time = |seconds: i64, nanoseconds: i64| {
        i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
    };
    [
        i128::from(it.dev()),
        i128::from(it.ino()),
        i128::from(it.len()),
        time(it.mtime(), it.mtime_nsec()),
        time(it.ctime(), it.ctime_nsec()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_fixes_a_file_changes_its_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let (model, data) = (folder.path().join("model"), folder.path().join("a.jsonl"));
        let paths = [model.clone(), data.clone()];
        let mut seen = Fingerprint::of(&paths);
        let mut step = |what: &str, change: &dyn Fn()| {
            assert_eq!(seen, Fingerprint::of(&paths), "nothing changed before: {what}");
            change();
            let now = Fingerprint::of(&paths);
            assert_ne!(seen, now, "{what}");
            seen = now;
        };
        step("a folder appears", &|| std::fs::create_dir(&model).unwrap());
        step("a file in it", &|| std::fs::write(model.join("config.json"), "{").unwrap());
        step("it is completed", &|| std::fs::write(model.join("config.json"), "{}").unwrap());
        step("the data appear", &|| std::fs::write(&data, "x").unwrap());
        step("the file is replaced by one of the same length", &|| {
            std::fs::write(folder.path().join("b"), "y").unwrap();
            std::fs::rename(folder.path().join("b"), &data).unwrap();
        });
        step("the data go", &|| std::fs::remove_file(&data).unwrap());
    }
}
