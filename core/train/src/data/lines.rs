//! Reading JSON Lines a bounded piece at a time: neither a long file nor a line without an end fills the memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::example::Example;
use crate::{Result, TrainError};

/// Longest line, in bytes; a longer one is refused by its number. Of any text only the first tokens are trained on, so
/// nothing that is an example comes near it.
pub const MAX_LINE_BYTES: usize = 16 << 20;
/// Of a line that is too long, this much is passed over to find the next one.
const MAX_SKIPPED_BYTES: u64 = 4 << 30;
/// Lines of one batch, at most.
const BATCH_LINES: usize = 512;
/// Bytes after which a batch is full.
const BATCH_BYTES: usize = 1 << 20;
/// A line buffer that grew beyond this is given back.
const KEPT_BUFFER_BYTES: usize = 1 << 20;

/// A line's number, counted from 1, and its example or what is wrong with it.
pub(super) type Line = (usize, Result<Example>);

/// Hands out the lines of a JSONL file that are not empty, in order, in batches of bounded size.
///
/// # Errors
/// If the file cannot be read or has no such line, and what `on_batch` returns.
pub(super) fn each_batch(
    path: &Path,
    on_batch: &mut dyn FnMut(Vec<Line>) -> Result<()>,
) -> Result<()> {
    let file = File::open(path).map_err(TrainError::io(path))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut batch, mut batch_bytes, mut any) = (Vec::new(), 0, false);
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        bytes.shrink_to(KEPT_BUFFER_BYTES);
        let most = MAX_LINE_BYTES as u64 + 1;
        let read = (&mut reader).take(most).read_until(b'\n', &mut bytes);
        if read.map_err(TrainError::io(path))? == 0 {
            break;
        }
        let is_too_long = bytes.len() > MAX_LINE_BYTES && bytes.last() != Some(&b'\n');
        let example = match std::str::from_utf8(&bytes) {
            _ if is_too_long => Err(TrainError::data(path, line, too_long())),
            Ok(text) if text.trim().is_empty() => continue,
            Ok(text) => Example::parse(text.trim_end(), path, line),
            Err(_) => Err(TrainError::data(path, line, "not UTF-8 text")),
        };
        let example = match bytes.last() {
            Some(b'\n') => example,
            _ if is_too_long => example,
            _ => example.map_err(unfinished),
        };
        any = true;
        batch_bytes += bytes.len();
        batch.push((line, example));
        // What is wrong with an endless line is said before its end is looked for.
        if is_too_long || batch.len() >= BATCH_LINES || batch_bytes >= BATCH_BYTES {
            batch_bytes = 0;
            on_batch(std::mem::take(&mut batch))?;
        }
        if is_too_long && !skip_line(&mut reader).map_err(TrainError::io(path))? {
            let reason = format!(
                "the line does not end within {} GiB: the rest of the file was not read",
                MAX_SKIPPED_BYTES >> 30
            );
            return on_batch(vec![(line, Err(TrainError::data(path, line, reason)))]);
        }
    }
    if !any {
        return Err(TrainError::data(path, 0, "the file has no examples"));
    }
    if batch.is_empty() { Ok(()) } else { on_batch(batch) }
}

fn too_long() -> String {
    format!(
        "the line is longer than {} MiB, the limit for one example: shorten or split it",
        MAX_LINE_BYTES >> 20
    )
}

/// Half a line at the end of a file is most often one that is being written.
fn unfinished(error: TrainError) -> TrainError {
    match error {
        TrainError::Data { path, line, reason } => {
            let reason = format!(
                "{reason}; it is the last line and has no line end: is it still being written?"
            );
            TrainError::Data { path, line, reason }
        }
        other => other,
    }
}

/// Passes over the rest of a line; false if it goes on for too long.
fn skip_line(reader: &mut impl BufRead) -> std::io::Result<bool> {
    let mut skipped = 0;
    while skipped < MAX_SKIPPED_BYTES {
        let buffer = match reader.fill_buf() {
            Ok([]) => return Ok(true),
            Ok(buffer) => buffer,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        skipped += used as u64;
        reader.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads the examples of a JSONL file; empty lines are skipped.
///
/// # Errors
/// The first line that cannot be used; a file without examples.
pub fn read_jsonl(path: &Path) -> Result<Vec<Example>> {
    let mut examples = Vec::new();
    each_batch(path, &mut |lines| {
        for (_, example) in lines {
            examples.push(example?);
        }
        Ok(())
    })?;
    Ok(examples)
}

/// Reads a JSONL file and keeps nothing of it.
///
/// # Errors
/// The first line that cannot be used; a file without examples.
pub fn check_jsonl(path: &Path) -> Result<()> {
    each_batch(path, &mut |lines| lines.into_iter().try_for_each(|(_, example)| example.map(drop)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(text: &[u8]) -> Vec<(usize, bool)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut seen = Vec::new();
        each_batch(file.path(), &mut |lines| {
            seen.extend(lines.into_iter().map(|(line, example)| (line, example.is_ok())));
            Ok(())
        })
        .unwrap();
        seen
    }

    fn padded(bytes: usize) -> Vec<u8> {
        let (begin, end) = (br#"{"prompt": ""#, br#"", "completion": "b"}"#);
        let mut line = begin.to_vec();
        line.resize(bytes - end.len(), b'a');
        line.extend(end);
        line
    }

    #[test]
    fn the_longest_line_is_used_and_one_byte_more_is_refused_by_number() {
        let good = br#"{"prompt": "a", "completion": "b"}"#;
        let mut text = padded(MAX_LINE_BYTES);
        text.push(b'\n');
        text.extend(good);
        assert_eq!(lines_of(&text), [(1, true), (2, true)]);
        let mut text = padded(MAX_LINE_BYTES + 1);
        text.push(b'\n');
        text.extend(good);
        assert_eq!(lines_of(&text), [(1, false), (2, true)]);
        assert_eq!(lines_of(&padded(MAX_LINE_BYTES + 1)), [(1, false)]);
        assert_eq!(lines_of(&padded(MAX_LINE_BYTES)), [(1, true)]);
    }

    #[test]
    fn batches_lose_no_line_and_keep_their_order() {
        let good = "{\"prompt\": \"a\", \"completion\": \"b\"}\n\n";
        let seen = lines_of(good.repeat(3 * BATCH_LINES + 1).as_bytes());
        let expected: Vec<usize> = (0..=3 * BATCH_LINES).map(|line| 2 * line + 1).collect();
        assert_eq!(seen.iter().map(|line| line.0).collect::<Vec<_>>(), expected);
    }
}
