//! Who the members should be, given beforehand: a file of lines that the organisations have
//! exchanged.
//!
//! ```text
//! # one line for each member, this node's own among them
//! 7f3b...c1 northern-hospital
//! 09ad...42 Bank of the South
//! ```

use std::collections::BTreeMap;

use fedshield_protocol::hidden::{first_hidden, harmless_line};
use fedshield_protocol::ids::IdentityKey;
use fedshield_protocol::limits::{MAX_MEMBERS, MAX_NAME_BYTES};
use fedshield_protocol::manifest::Member;

use super::FoundingError;
use crate::control::api::ExpectedMember;

/// Longest file of expected members, in bytes.
pub const MAX_EXPECTED_BYTES: usize = 64 << 10;

/// Why a list of expected members is not valid; names the line or the entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpectedError {
    /// The file is longer than [`MAX_EXPECTED_BYTES`].
    #[error("the list has more than {MAX_EXPECTED_BYTES} bytes")]
    TooLong,
    /// A line has no identity key.
    #[error(
        "line {number} does not begin with an identity key (64 hexadecimal digits), as `fedshield-cli identity` prints it: \
         {line}"
    )]
    Key {
        /// Counted from 1.
        number: usize,
        /// The beginning of the line.
        line: String,
    },
    /// A line has an identity key and no name.
    #[error("line {number} has no name behind the identity key")]
    NoName {
        /// Counted from 1.
        number: usize,
    },
    /// No federation has so many members.
    #[error("{0} members are expected: 3 to {MAX_MEMBERS} can be")]
    Count(usize),
    /// A name with an invisible character.
    #[error("the name `{name}` has {hidden}, a character that nobody sees")]
    Hidden {
        /// The name, the character shown.
        name: String,
        /// The character's code point.
        hidden: String,
    },
    /// A name that is empty or too long.
    #[error("the name `{name}` must have 1 to {MAX_NAME_BYTES} bytes")]
    NameLength {
        /// The name.
        name: String,
    },
    /// Two entries have the same identity.
    #[error("{one} and {other} are expected with one identity, {key}")]
    SameIdentity {
        /// The name of the first.
        one: String,
        /// The name of the second.
        other: String,
        /// Their identity.
        key: IdentityKey,
    },
    /// Two names that can be mistaken for each other.
    #[error("two members are expected as `{one}` and `{other}`, which look alike")]
    LookAlike {
        /// The first.
        one: String,
        /// The second.
        other: String,
    },
}

/// The line that an organisation sends to the others, so that they expect it.
#[must_use]
pub fn line_of(member: &ExpectedMember) -> String {
    format!("{} {}", member.identity_key, member.name)
}

/// Reads lines of an identity key and a name. Empty lines and those that begin with `#` are
/// skipped.
///
/// # Errors
/// Names the line and what is wrong with it, or what `check` refuses.
pub fn from_lines(text: &str) -> Result<Vec<ExpectedMember>, ExpectedError> {
    if text.len() > MAX_EXPECTED_BYTES {
        return Err(ExpectedError::TooLong);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(str::trim).zip(1..);
    let list: Result<Vec<ExpectedMember>, ExpectedError> =
        lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')).map(of_line).collect();
    let list = list?;
    check(&list).map(|()| list)
}

fn of_line((line, number): (&str, usize)) -> Result<ExpectedMember, ExpectedError> {
    let (key, name) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let identity_key = key.parse().map_err(|_| ExpectedError::Key {
        number,
        line: harmless_line(&line.chars().take(80).collect::<String>()),
    })?;
    let name = name.trim().to_owned();
    if name.is_empty() {
        return Err(ExpectedError::NoName { number });
    }
    Ok(ExpectedMember { name, identity_key })
}

/// Refuses a list that no federation can have: a duplicate name or identity, or a name that is not
/// allowed.
///
/// # Errors
/// Names the entry.
pub(super) fn check(list: &[ExpectedMember]) -> Result<(), ExpectedError> {
    let count = list.len();
    if !(3..=usize::from(MAX_MEMBERS)).contains(&count) {
        return Err(ExpectedError::Count(count));
    }
    for (place, member) in list.iter().enumerate() {
        let name = harmless_line(&member.name);
        if let Some(hidden) = first_hidden(&member.name) {
            return Err(ExpectedError::Hidden { name, hidden: hidden.to_string() });
        }
        if member.name.is_empty() || member.name.len() > MAX_NAME_BYTES {
            return Err(ExpectedError::NameLength { name });
        }
        for other in list.iter().take(place) {
            if other.identity_key == member.identity_key {
                let (one, key) = (other.name.clone(), member.identity_key);
                return Err(ExpectedError::SameIdentity { one, other: name, key });
            }
            if super::look_alike(&other.name, &member.name) {
                return Err(ExpectedError::LookAlike { one: other.name.clone(), other: name });
            }
        }
    }
    Ok(())
}

/// Refuses a list of expected members that is not valid, or lacks this node (`own`) or the draft's
/// owner.
pub(super) fn check_here(
    list: &[ExpectedMember],
    own: &Member,
    owner: Option<&IdentityKey>,
) -> Result<(), FoundingError> {
    check(list).map_err(|error| FoundingError::Request(error.to_string()))?;
    let entry = |key: &IdentityKey| list.iter().find(|it| it.identity_key == *key);
    match entry(&own.identity_key) {
        Some(entry) if entry.name == own.name => {}
        Some(entry) => {
            let (wanted, name) = (&entry.name, &own.name);
            let reason = format!("this node is expected as `{wanted}` and is called `{name}`");
            return Err(FoundingError::Request(reason));
        }
        None => {
            let (key, name) = (own.identity_key, &own.name);
            return Err(FoundingError::Request(format!(
                "this node ({key} {name}) is not among the expected members: all are to be named, also this one"
            )));
        }
    }
    owner.filter(|owner| entry(owner).is_none()).map_or(Ok(()), |owner| {
        let difference =
            format!("the invite comes from {owner}, which is not among them: this may be somebody else's draft");
        Err(FoundingError::Unexpected { differences: vec![difference] })
    })
}

/// How `members` differ from the expected ones, one sentence each; empty if they are exactly these.
#[must_use]
pub(super) fn differences(expected: &[ExpectedMember], members: &[Member]) -> Vec<String> {
    let by_key: BTreeMap<IdentityKey, &str> =
        expected.iter().map(|it| (it.identity_key, it.name.as_str())).collect();
    let by_name: BTreeMap<&str, IdentityKey> =
        expected.iter().map(|it| (it.name.as_str(), it.identity_key)).collect();
    let mut found = Vec::new();
    for member in members {
        let (key, name) = (member.identity_key, harmless_line(&member.name));
        match (by_key.get(&key), by_name.get(member.name.as_str())) {
            (Some(wanted), _) if *wanted == member.name => {}
            (Some(wanted), _) => found.push(format!("the member expected as {wanted} is called {name} in the list")),
            (None, Some(wanted)) => found
                .push(format!("{name} has the identity {key} in the list, and {wanted} is expected: it may be somebody else")),
            (None, None) => found.push(format!("{name} ({key}) is in the list and was not expected")),
        }
    }
    for wanted in expected {
        let here = members.iter().filter(|it| it.identity_key == wanted.identity_key).count();
        let replaced = members.iter().any(|it| it.name == wanted.name);
        match here {
            0 if !replaced => {
                found.push(format!("{} is expected and not in the list", wanted.name))
            }
            0 | 1 => {}
            times => found.push(format!("{} is {times} times in the list", wanted.name)),
        }
    }
    found
}

/// Members of an open draft that are not expected, or differ from their expected entry; missing
/// members may still join.
#[must_use]
pub(super) fn strangers(expected: &[ExpectedMember], members: &[Member]) -> Vec<String> {
    let here: Vec<ExpectedMember> = expected
        .iter()
        .filter(|it| {
            members
                .iter()
                .any(|member| member.identity_key == it.identity_key || member.name == it.name)
        })
        .cloned()
        .collect();
    differences(&here, members)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expected(entries: &[(&str, u8)]) -> Vec<ExpectedMember> {
        let entry = |(name, key): &(&str, u8)| ExpectedMember {
            name: (*name).to_owned(),
            identity_key: IdentityKey([*key; 32]),
        };
        entries.iter().map(entry).collect()
    }

    fn members(entries: &[(&str, u8)]) -> Vec<Member> {
        let entry = fedshield_fixtures::members(3)[0].clone();
        let member = |it: ExpectedMember| Member {
            name: it.name,
            identity_key: it.identity_key,
            ..entry.clone()
        };
        expected(entries).into_iter().map(member).collect()
    }

    const THREE: [(&str, u8); 3] = [("bank", 1), ("farm", 2), ("Bank of the South", 3)];

    #[test]
    fn what_one_writes_another_reads() {
        let wanted = expected(&THREE);
        let lines: Vec<String> = wanted.iter().map(line_of).collect();
        let text = format!("\u{feff}# ours\r\n\r\n{}\r\n", lines.join("\r\n"));
        assert_eq!(from_lines(&text), Ok(wanted));
    }

    #[test]
    fn a_file_that_no_federation_can_be_is_refused_and_the_entry_named() {
        let key = |byte: u8| IdentityKey([byte; 32]).to_string();
        for (text, part) in [
            (String::new(), "0 members"),
            ("bank".into(), "line 1 does not begin with an identity key"),
            (key(1)[..63].to_owned() + " bank", "line 1 does not begin"),
            (key(1), "line 1 has no name"),
            (format!("{} a\n{} b", key(1), key(2)), "2 members"),
            (
                format!("{} a\n{} b\n{} c", key(1), key(2), key(1)),
                "a and c are expected with one identity",
            ),
            (format!("{} a\n{} b\n{} A", key(1), key(2), key(3)), "`a` and `A`, which look alike"),
            (format!("{} a\n{} b\n{} c\u{202e}d", key(1), key(2), key(3)), "U+202E"),
            ("#".repeat(MAX_EXPECTED_BYTES + 1), "bytes"),
        ] {
            let reason = from_lines(&text).unwrap_err().to_string();
            assert!(reason.contains(part), "{reason} does not speak of {part:?}");
        }
    }

    #[test]
    fn every_difference_is_named() {
        let wanted = expected(&THREE);
        let told = |list: &[(&str, u8)]| differences(&wanted, &members(list));
        assert_eq!(told(&THREE), Vec::<String>::new());
        // In any order.
        assert_eq!(told(&[THREE[2], THREE[0], THREE[1]]), Vec::<String>::new());
        for (list, parts) in [
            (vec![THREE[0], THREE[1]], vec!["Bank of the South is expected and not in the list"]),
            (vec![THREE[0], THREE[1], THREE[2], ("x", 9)], vec!["x (0909"]),
            (vec![THREE[0], ("farm", 9), THREE[2]], vec!["farm has the identity 0909"]),
            (vec![THREE[0], ("form", 2), THREE[2]], vec!["expected as farm is called form"]),
            (
                vec![("farm", 1), ("bank", 2), THREE[2]],
                vec!["expected as bank is called farm", "expected as farm is called bank"],
            ),
            (vec![THREE[0], THREE[0], THREE[1], THREE[2]], vec!["bank is 2 times in the list"]),
        ] {
            let told = told(&list);
            assert_eq!(told.len(), parts.len(), "{told:?}");
            assert!(told.iter().zip(&parts).all(|(told, part)| told.contains(part)), "{told:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "([0-9a-f]{64} .{0,9}\n){0,4}.{0,99}") {
            let _ = from_lines(&text);
        }
    }
}
