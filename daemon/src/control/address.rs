//! Unix sockets in folders with long paths. Linux allows at most 107 bytes for the path of a
//! socket. A home folder may be longer; the socket is then addressed through an open descriptor of
//! its folder.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::durable;

/// The longest path that a socket can have, in bytes; a zero byte follows it.
const MAX_PATH_BYTES: usize = 107;
/// The longest name of a socket file, in bytes: it fits behind the path of the folder's descriptor.
pub const MAX_NAME_BYTES: usize = 64;

/// A path to a socket that is short enough for the system, valid while this value lives.
#[derive(Debug)]
pub(super) struct SocketPath {
    path: PathBuf,
    /// The folder's descriptor, which `path` refers to.
    _folder: Option<File>,
}

impl SocketPath {
    /// A short path for `path`, whose folder must exist if the path is long.
    ///
    /// # Errors
    /// An error of opening the folder; [`io::ErrorKind::InvalidInput`] if the name itself is too
    /// long.
    pub(super) fn to(path: &Path) -> io::Result<Self> {
        if length(path) <= MAX_PATH_BYTES {
            return Ok(Self { path: path.to_path_buf(), _folder: None });
        }
        let name = path.file_name().unwrap_or_default();
        if name.len() > MAX_NAME_BYTES {
            let reason = format!(
                "a socket's name has at most {MAX_NAME_BYTES} bytes in a folder with a path as long as this one"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let folder = File::open(durable::parent(path))?;
        let short = format!("/proc/self/fd/{}", folder.as_raw_fd());
        Ok(Self { path: Path::new(&short).join(name), _folder: Some(folder) })
    }

    pub(super) fn as_path(&self) -> &Path {
        &self.path
    }
}

fn length(path: &Path) -> usize {
    path.as_os_str().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_path_stays_as_it_is_and_a_long_one_goes_through_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("control.sock");
        assert_eq!(SocketPath::to(&plain).unwrap().as_path(), plain);
        let deep = folder.path().join("d".repeat(200));
        std::fs::create_dir(&deep).unwrap();
        let way = SocketPath::to(&deep.join("control.sock")).unwrap();
        assert!(length(way.as_path()) <= MAX_PATH_BYTES);
        let missing = SocketPath::to(&folder.path().join("e".repeat(200)).join("s")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let named = SocketPath::to(&deep.join("n".repeat(65))).unwrap_err();
        assert!(named.to_string().contains("64 bytes"), "{named}");
    }
}
