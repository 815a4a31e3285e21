//! Private file trees: restricting access to the owner, and erasing.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::durable::{DiskError, PRIVATE_FILE, PRIVATE_FOLDER, overwrite, parent, sync_folder};

/// From here on, no file that this process or a child process creates is accessible to other users,
/// whichever library creates it.
pub fn private_umask() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Removes the access of everyone but the owner to `path` and everything in it. Links are not
/// followed, and a file with several hard links is left as it is, because another name may be
/// another user's. Files of other users are left, too.
///
/// # Errors
/// Disk errors. A path that does not exist is not an error.
pub fn make_private(path: &Path) -> Result<(), DiskError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(DiskError::at(path, error)),
    };
    let kind = metadata.file_type();
    let has_second_name = kind.is_file() && metadata.nlink() > 1;
    if !(kind.is_symlink() || has_second_name) {
        take_from_others(path, &metadata)?;
    }
    if kind.is_dir() {
        for entry in fs::read_dir(path).map_err(|error| DiskError::at(path, error))? {
            make_private(&entry.map_err(|error| DiskError::at(path, error))?.path())?;
        }
    }
    Ok(())
}

/// Removes the access of everyone but the owner to a folder, not to its content.
///
/// # Errors
/// Disk errors.
pub fn make_folder_private(folder: &Path) -> Result<(), DiskError> {
    let metadata = fs::metadata(folder).map_err(|error| DiskError::at(folder, error))?;
    take_from_others(folder, &metadata)
}

fn take_from_others(path: &Path, metadata: &fs::Metadata) -> Result<(), DiskError> {
    let mode = metadata.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700)) {
        Ok(()) => tracing::debug!(path = %path.display(), "taken from other users"),
        // It belongs to another user.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(error) => return Err(DiskError::at(path, error)),
    }
    Ok(())
}

/// Erases a folder with its content, or one file: every file is overwritten first. Links are
/// removed, their targets are not touched; a file with several hard links is removed and not
/// overwritten. Continues after an error, so that as much as possible is erased.
///
/// # Errors
/// The first error. A path that does not exist is not an error.
pub fn erase_tree(path: &Path) -> Result<(), DiskError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(DiskError::at(path, error)),
    };
    let unlink = |removed: io::Result<()>| removed.map_err(|error| DiskError::at(path, error));
    if !metadata.is_dir() {
        if metadata.is_file() && metadata.nlink() == 1 {
            // It may be read-only. A file that cannot be overwritten is removed anyway.
            let _ = fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE_FILE));
            let overwritten =
                OpenOptions::new().write(true).open(path).map(|mut file| overwrite(&mut file));
            unlink(fs::remove_file(path))?;
            return unlink(overwritten.and_then(|done| done));
        }
        return unlink(fs::remove_file(path));
    }
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE_FOLDER));
    erase_content(path)?;
    unlink(fs::remove_dir(path))?;
    sync_folder(parent(path))
}

/// [`erase_tree`] for the content of a folder; the folder itself stays, because it may be a mount
/// point.
///
/// # Errors
/// The first error.
pub fn erase_content(folder: &Path) -> Result<(), DiskError> {
    let mut first = Ok(());
    for entry in fs::read_dir(folder).map_err(|error| DiskError::at(folder, error))? {
        let erased = match entry {
            Ok(entry) => erase_tree(&entry.path()),
            Err(error) => Err(DiskError::at(folder, error)),
        };
        first = first.and(erased);
    }
    first
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn an_erased_tree_is_gone_and_nothing_outside_of_it_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, kept) = (folder.path().join("tree"), folder.path().join("kept"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("model"), "weights").unwrap();
        fs::write(tree.join("a/b/data"), "secret").unwrap();
        // What a program may leave: links to other users' files, read-only files and folders.
        fs::hard_link(kept.join("model"), tree.join("a/linked")).unwrap();
        std::os::unix::fs::symlink(&kept, tree.join("a/folder")).unwrap();
        std::os::unix::fs::symlink(kept.join("model"), tree.join("a/file")).unwrap();
        fs::set_permissions(tree.join("a/b/data"), fs::Permissions::from_mode(0o400)).unwrap();
        fs::set_permissions(tree.join("a/b"), fs::Permissions::from_mode(0o500)).unwrap();
        let open = File::open(tree.join("a/b/data")).unwrap();
        erase_tree(&tree).unwrap();
        erase_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert_eq!(fs::read_to_string(kept.join("model")).unwrap(), "weights");
        assert_eq!(io::read_to_string(open).unwrap(), "\0\0\0\0\0\0");
    }

    #[test]
    fn a_private_tree_keeps_what_its_owner_may_do() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("file"), "").unwrap();
        fs::write(tree.join("program"), "").unwrap();
        fs::write(folder.path().join("shared"), "").unwrap();
        fs::hard_link(folder.path().join("shared"), tree.join("shared")).unwrap();
        for (name, bits) in [("file", 0o644), ("program", 0o755), ("shared", 0o664), ("", 0o755)] {
            fs::set_permissions(tree.join(name), fs::Permissions::from_mode(bits)).unwrap();
        }
        make_private(&tree).unwrap();
        let modes = ["file", "program", "shared", ""].map(|name| mode(&tree.join(name)));
        assert_eq!(modes, [0o600, 0o700, 0o664, 0o700]);
        make_private(&tree.join("gone")).unwrap();
    }
}
