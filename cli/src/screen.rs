//! Where output goes: human-readable text or JSON on standard output, everything else on standard
//! error.

use std::io::{self, IsTerminal, Write};

use fedshield_protocol::hidden::harmless;
use fedshieldd::control::api::ErrorCode;
use serde::Serialize;

use crate::failure::Failure;

/// Whether to colour. Colours carry no meaning of their own: every word is complete without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colours(bool);

impl Colours {
    /// Plain text.
    #[must_use]
    pub const fn none() -> Self {
        Self(false)
    }

    /// Coloured on a terminal, unless `NO_COLOR` is set (<https://no-color.org>) or the terminal is
    /// dumb.
    #[must_use]
    pub fn detect(terminal: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self(terminal && !set("NO_COLOR") && !dumb)
    }

    /// Painted text may come from elsewhere, so its own escape sequences are neutralised.
    fn paint(self, code: &str, text: &str) -> String {
        let text = harmless(text);
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text }
    }

    /// Headings.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Labels.
    #[must_use]
    pub fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Good values.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Values that need attention.
    #[must_use]
    pub fn odd(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Wrong values.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }
}

/// Standard output and error, and how this command may use them.
#[derive(Debug)]
pub struct Screen {
    json: bool,
    colours: Colours,
    interactive: bool,
}

impl Screen {
    /// A screen for a command with or without `--json`.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let interactive = io::stdout().is_terminal();
        Self { json, colours: Colours::detect(interactive), interactive }
    }

    /// True if standard output is a terminal and the answer is text.
    #[must_use]
    pub const fn interactive(&self) -> bool {
        self.interactive && !self.json
    }

    /// True if the answer is JSON.
    #[must_use]
    pub const fn wants_json(&self) -> bool {
        self.json
    }

    /// How to colour what goes to standard output.
    #[must_use]
    pub const fn colours(&self) -> Colours {
        self.colours
    }

    /// Prints `value` as JSON, or the text that `text` makes of it.
    ///
    /// # Errors
    /// If standard output cannot be written. A reader that closed the pipe (`| head`) is no error.
    pub fn answer<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&T, Colours) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            let json = serde_json::to_string_pretty(value)
                .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?;
            self.text(&json)
        } else {
            self.text(&text(value, self.colours))
        }
    }

    /// Prints one JSON value on one line, for streams of them.
    ///
    /// # Errors
    /// See [`Self::answer`].
    pub fn json_line<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        let json = serde_json::to_string(value)
            .map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?;
        self.text(&json)
    }

    /// Prints text on standard output, even with `--json`.
    ///
    /// # Errors
    /// See [`Self::answer`].
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes()));
        match written.and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io(
                "write the answer",
                std::path::Path::new("standard output"),
                &error,
            )),
            _ => Ok(()),
        }
    }

    /// Prints a remark on standard error. It is never part of the answer, and failing to write it
    /// is ignored.
    pub fn remark(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", harmless(text));
    }
}

/// Shows a failure on standard error, as JSON if the command was asked for JSON.
pub fn show_failure(failure: &Failure, json: bool) {
    let _ = writeln!(io::stderr().lock(), "{}", failure_text(failure, json));
}

/// What [`show_failure`] shows.
#[must_use]
pub fn failure_text(failure: &Failure, json: bool) -> String {
    if json {
        serde_json::to_string(&failure.body()).unwrap_or_else(|_| failure.to_string())
    } else {
        failure.render(Colours::detect(io::stderr().is_terminal()))
    }
}

/// Draws a block of lines over the one before it, on a terminal.
#[derive(Debug, Default)]
pub struct Redraw {
    lines: usize,
}

impl Redraw {
    /// The characters that draw `text` over the previous block.
    pub fn over(&mut self, text: &str) -> String {
        let mut out = String::new();
        if self.lines > 0 {
            out.push_str(&format!("\x1b[{}A", self.lines));
        }
        for line in text.lines() {
            out.push_str("\x1b[2K");
            out.push_str(line);
            out.push('\n');
        }
        // Clears what is left of a longer block.
        out.push_str("\x1b[J");
        self.lines = text.lines().count();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_come_only_when_wanted() {
        assert_eq!(Colours::none().bad("no"), "no");
        assert_eq!(Colours(true).bad("no"), "\x1b[31mno\x1b[0m");
        assert_eq!(Colours::detect(false), Colours::none());
        assert_eq!(Colours(true).bad("\x1b[2J"), "\x1b[31m\u{fffd}[2J\x1b[0m");
    }

    #[test]
    fn a_redraw_goes_up_by_the_lines_of_the_last_block() {
        let mut redraw = Redraw::default();
        assert_eq!(redraw.over("a\nb"), "\x1b[2Ka\n\x1b[2Kb\n\x1b[J");
        assert!(redraw.over("c").starts_with("\x1b[2A"));
        assert!(redraw.over("d").starts_with("\x1b[1A"));
    }
}
