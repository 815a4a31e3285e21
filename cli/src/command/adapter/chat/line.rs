//! Questions as they come: lines of standard input.

use std::io::BufRead;

use fedshieldd::control::api::ErrorCode;

use crate::failure::Failure;

/// A line of standard input.
pub(super) enum Line {
    Text(String),
    /// Nothing follows.
    End,
    /// Why it cannot be asked.
    Unusable(&'static str),
}

/// Reads one line.
///
/// # Errors
/// If standard input cannot be read.
pub(super) fn read_line() -> Result<Line, Failure> {
    /// Longer than any model's context, in bytes.
    const LONGEST: u64 = 16 << 20;
    let mut line = Vec::new();
    let mut input = std::io::stdin().lock();
    let mut next = |line: &mut Vec<u8>| {
        line.clear();
        let read = std::io::Read::take(&mut input, LONGEST).read_until(b'\n', line);
        read.map_err(|error| {
            Failure::new(ErrorCode::Internal, format!("cannot read standard input: {error}"))
        })
    };
    let is_cut = |line: &[u8]| line.len() as u64 == LONGEST && !line.ends_with(b"\n");
    if next(&mut line)? == 0 {
        return Ok(Line::End);
    }
    if is_cut(&line) {
        while is_cut(&line) && next(&mut line)? > 0 {}
        return Ok(Line::Unusable("the line has more than 16 MiB"));
    }
    Ok(match String::from_utf8(line) {
        Ok(text) => Line::Text(text),
        Err(_) => Line::Unusable("the line is not UTF-8"),
    })
}
