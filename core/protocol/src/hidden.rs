//! Characters that nobody sees, but that change what is seen: control characters, which a terminal
//! obeys, and Unicode's format characters, which turn the direction of text or let two different
//! names look the same.
//!
//! The lists are written out and not asked of the standard library, because members built with
//! different compilers must find the same manifests valid.

use std::fmt;

/// Unicode's category Cf (17.0), its line and paragraph separators, and the letters that are blank
/// by definition (`Default_Ignorable_Code_Point`). Control characters (Cc) come from the standard
/// library: that category is closed.
const HIDDEN: [(u32, u32); 24] = [
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x0600, 0x0605),
    (0x061C, 0x061C),
    (0x06DD, 0x06DD),
    (0x070F, 0x070F),
    (0x0890, 0x0891),
    (0x08E2, 0x08E2),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x110BD, 0x110BD),
    (0x110CD, 0x110CD),
    (0x13430, 0x1343F),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
];

/// They choose between forms of the character before them, most often an emoji's colours: harmless
/// on a terminal, but a second name that looks like the first.
const VARIATION_SELECTORS: std::ops::RangeInclusive<char> = '\u{FE00}'..='\u{FE0F}';

/// Whether nobody sees `character`, or a terminal would obey it. Spaces of all widths are not
/// hidden.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    let code = u32::from(character);
    character.is_control() || HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&code))
}

/// A character that has no place in a name; shown as `U+202E`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hidden(pub char);

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "U+{:04X}", u32::from(self.0))
    }
}

/// The first character of `name` that keeps it from being told apart from others by sight.
#[must_use]
pub fn first_hidden(name: &str) -> Option<Hidden> {
    name.chars().find(|c| is_hidden(*c) || VARIATION_SELECTORS.contains(c)).map(Hidden)
}

/// `text` for a terminal: each hidden character but line ends and tabs is a replacement character.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { visible(c) }).collect()
}

/// The same for a place that is one line long: line ends and tabs are replaced, too.
#[must_use]
pub fn harmless_line(text: &str) -> String {
    text.chars().map(visible).collect()
}

/// Joiners stay in text: Persian, Indian scripts and many emoji are written with them, and they
/// move nothing.
fn visible(character: char) -> char {
    let joiner = matches!(character, '\u{200c}' | '\u{200d}');
    if is_hidden(character) && !joiner { char::REPLACEMENT_CHARACTER } else { character }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_nobody_sees_is_hidden() {
        for hidden in [
            '\u{1b}',
            '\u{7f}',
            '\u{9b}',
            '\r',
            '\u{ad}',
            '\u{200b}',
            '\u{200f}',
            '\u{202e}',
            '\u{2028}',
            '\u{2066}',
            '\u{3164}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert!(is_hidden(hidden), "{}", Hidden(hidden));
        }
        for seen in ['a', ' ', '\u{a0}', 'é', '\u{301}', '中', 'ع', 'ह', '🏥', '\u{fffd}'] {
            assert!(!is_hidden(seen), "{}", Hidden(seen));
        }
    }

    #[test]
    fn a_name_says_which_character_is_wrong() {
        assert_eq!(first_hidden("Zürich 中心"), None);
        assert_eq!(first_hidden("bank\u{202e}knab").unwrap().to_string(), "U+202E");
        assert_eq!(first_hidden("bank\u{fe0f}").unwrap().to_string(), "U+FE0F");
        assert_eq!(first_hidden("\u{7}").unwrap().to_string(), "U+0007");
    }

    #[test]
    fn text_keeps_its_joiners() {
        let persian = "می\u{200c}خواهم";
        assert_eq!(harmless_line(persian), persian);
    }

    #[test]
    fn text_keeps_its_lines_and_a_line_stays_one() {
        let text = "a\tb\n\u{1b}[2J\u{202e}c ❤\u{fe0f}";
        assert_eq!(harmless(text), "a\tb\n\u{fffd}[2J\u{fffd}c ❤\u{fe0f}");
        assert_eq!(harmless_line("a\nb\u{2028}c"), "a\u{fffd}b\u{fffd}c");
    }
}
