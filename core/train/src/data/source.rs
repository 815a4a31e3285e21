//! Detects what kind of file this is by its first bytes, because names mislead. Unsupported kinds
//! are refused by their name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::{Result, TrainError};

/// Bytes that are examined to detect the kind of a file: as far as the magic number of a tar
/// archive.
const HEAD_BYTES: usize = 512;
const BUFFER_BYTES: usize = 1 << 16;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A readable file, by its content.
pub(super) enum Source {
    /// One JSON object on each line.
    Lines(Input),
    /// One JSON array of objects.
    Array(Input),
    /// A Parquet file.
    Parquet(File),
}

/// Text from its first byte, without a byte order mark; decompressed if it was compressed.
pub(super) type Input = BufReader<Box<dyn Read>>;

/// Bytes of the file itself that have been read, before decompression.
#[derive(Clone, Default)]
pub(super) struct Position(Arc<AtomicU64>);

impl Position {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// For files that are not read sequentially.
    pub(super) fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

impl Source {
    /// Opens a file and detects its kind; `position` follows the reading.
    ///
    /// # Errors
    /// If the file cannot be read, or is of a kind that is recognised but not supported: by the
    /// kind's name, with advice.
    pub(super) fn open(path: &Path, position: &Position) -> Result<Self> {
        let mut file = open_regular(path).map_err(TrainError::io(path))?;
        let head = read_head(&mut file).map_err(TrainError::io(path))?;
        if head.starts_with(b"PAR1") {
            return Ok(Self::Parquet(file));
        }
        let counted = Counted { inner: file, position: position.clone() };
        if !head.starts_with(b"\x1f\x8b") {
            return Self::text(path, head, counted, false);
        }
        let packed = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(head).chain(counted));
        let mut unpacked = Gzip(MultiGzDecoder::new(packed));
        let head = match read_head(&mut unpacked) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(TrainError::data(path, 0, error.to_string()));
            }
            head => head.map_err(TrainError::io(path))?,
        };
        Self::text(path, head, unpacked, true)
    }

    fn text(path: &Path, head: Vec<u8>, rest: impl Read + 'static, packed: bool) -> Result<Self> {
        let inside = if packed { "the gzip data hold " } else { "" };
        if let Some(reason) = foreign(&head, path) {
            return Err(TrainError::data(path, 0, format!("{inside}{reason}")));
        }
        let head = head.strip_prefix(BOM).map_or_else(|| head.clone(), <[u8]>::to_vec);
        let first = head.iter().find(|byte| !byte.is_ascii_whitespace()).copied();
        let whole: Box<dyn Read> = Box::new(Cursor::new(head).chain(rest));
        let input = BufReader::with_capacity(BUFFER_BYTES, whole);
        Ok(if first == Some(b'[') { Self::Array(input) } else { Self::Lines(input) })
    }
}

/// What a failed read of the decompressed text means: damage to the compressed data is a problem of
/// the file's content.
pub(super) fn read_error(path: &Path, number: usize, error: io::Error) -> TrainError {
    match error.kind() {
        io::ErrorKind::InvalidData => TrainError::data(path, number, error.to_string()),
        _ => TrainError::io(path)(error),
    }
}

/// Opens a file that can be read again for the next round. Opening a pipe that nobody writes to
/// would never return.
fn open_regular(path: &Path) -> io::Result<File> {
    let kind = std::fs::metadata(path)?.file_type();
    let what = match () {
        () if kind.is_file() => return File::open(path),
        () if kind.is_dir() => "this is a folder: name the files in it",
        () => {
            "this is no regular file (a pipe or device), so it cannot be read again for each round"
        }
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

fn read_head(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    input.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The first bytes of unsupported kinds of files, what they are, and advice.
const FOREIGN: &[(&[u8], &str)] = &[
    (b"\x28\xb5\x2f\xfd", "zstd data, which are not read: unpack the file with `zstd -d`"),
    (b"BZh", "bzip2 data, which are not read: unpack the file with `bunzip2`"),
    (b"\xfd7zXZ\0", "xz data, which are not read: unpack the file with `unxz`"),
    (b"\x04\x22\x4d\x18", "LZ4 data, which are not read: unpack the file with `unlz4`"),
    (b"\xff\x06\0\0sNaPpY", "Snappy data, which are not read: unpack the file"),
    (b"\x1f\x9d", "data packed by `compress`, which are not read: unpack the file with `gunzip`"),
    (b"LZIP", "lzip data, which are not read: unpack the file with `lzip -d`"),
    (b"Rar!", "a RAR archive: unpack it and name the files inside"),
    (b"PARE", "an encrypted Parquet file, which is not read: write it without encryption"),
    (b"\x93NUMPY", "a NumPy array: write the examples as JSON Lines or Parquet"),
    (b"GGUF", "a model in GGUF, not data"),
    (b"\x89PNG", "an image, which holds no examples"),
    (b"\xff\xd8\xff", "an image, which holds no examples"),
    (b"\x7fELF", "a program, which holds no examples"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it and name the files inside"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook: unpack it, or export the sheet as JSON"),
    (b"\x1f\x8b", "gzip data once more: unpack the file once with `gunzip`"),
    (b"PAR1", "a Parquet file: unpack it with `gunzip`; Parquet is read as it is"),
    (b"ARROW1", ARROW),
    (b"\xff\xff\xff\xff", ARROW),
    (b"Obj\x01", "an Avro file, which is not read: write it as JSON Lines or Parquet"),
    (b"ORC", "an ORC file, which is not read: write it as JSON Lines or Parquet"),
    (b"SQLite format 3\0", "an SQLite database: export the table as JSON Lines"),
    (b"\x89HDF", "an HDF5 file, which is not read: write it as JSON Lines or Parquet"),
    (b"%PDF", "a PDF document, which holds no examples"),
    (b"version https://git-lfs", "a Git LFS pointer instead of the data: run `git lfs pull`"),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
];
const ARROW: &str = "an Arrow file (a cache of `datasets`), which is not read: \
                     use `to_json` or `to_parquet`";
const UTF_16: &str = "UTF-16 or UTF-32 text: save it as UTF-8";
const TAR_MARK: usize = 257;

/// Describes data that are certainly none of the supported kinds.
fn foreign(head: &[u8], path: &Path) -> Option<String> {
    let known = FOREIGN.iter().find(|(mark, _)| head.starts_with(mark));
    if let Some((_, what)) = known {
        return Some((*what).to_owned());
    }
    if head.get(TAR_MARK..).is_some_and(|rest| rest.starts_with(b"ustar")) {
        return Some("a tar archive: unpack it and name the files inside".to_owned());
    }
    if let [0x80, 2..=5, ..] = head {
        return Some("a Python pickle, which is never read: write JSON Lines".to_owned());
    }
    if let [_, 0, _, 0, ..] | [0, _, 0, _, ..] = head {
        return Some(UTF_16.to_owned());
    }
    let text = head.strip_prefix(BOM).unwrap_or(head).trim_ascii_start();
    if text.starts_with(b"<") {
        return Some("a web page or XML instead of data: was it downloaded rightly?".to_owned());
    }
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let is_table = name.ends_with(".csv") || name.ends_with(".tsv");
    if is_table && !matches!(text.first(), Some(b'{' | b'[')) {
        let what = "a table in text form (CSV), which is not read: write JSON Lines or Parquet, for \
                    instance with `to_json(orient=\"records\", lines=True)` in pandas";
        return Some(what.to_owned());
    }
    None
}

/// Tracks how far a file has been read.
struct Counted<R> {
    inner: R,
    position: Position,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.position.0.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Reads all members of a gzip file in sequence, and describes errors in words.
struct Gzip<R>(MultiGzDecoder<R>);

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            let reason = match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    "the gzip data end too early: the file was cut off, or a few bytes follow that do \
                     not belong to it"
                        .to_owned()
                }
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                    format!("the gzip data are damaged or followed by something else: {error}")
                }
                _ => return error,
            };
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })
    }
}
