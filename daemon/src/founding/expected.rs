//! Who the members should be, said beforehand: a file of lines that the organisations have handed to each other.
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

/// The line by which an organisation tells the others whom to expect.
#[must_use]
pub fn line_of(member: &ExpectedMember) -> String {
    format!("{} {}", member.identity_key, member.name)
}

/// Reads lines of an identity key and a name. Empty lines and those that begin with `#` say nothing.
///
/// # Errors
/// Names the line and what is wrong with it, or what `check` refuses.
pub fn from_lines(text: &str) -> Result<Vec<ExpectedMember>, String> {
    if text.len() > MAX_EXPECTED_BYTES {
        return Err(format!("the list has more than {MAX_EXPECTED_BYTES} bytes"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(str::trim).zip(1..);
    let list: Result<Vec<ExpectedMember>, String> =
        lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#')).map(of_line).collect();
    let list = list?;
    check(&list).map(|()| list)
}

fn of_line((line, number): (&str, usize)) -> Result<ExpectedMember, String> {
    let (key, name) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let identity_key = key.parse().map_err(|_| {
        format!(
            "line {number} does not begin with an identity key (64 hexadecimal digits), as `fedshield-cli identity` prints \
             it: {}",
            harmless_line(&line.chars().take(80).collect::<String>())
        )
    })?;
    let name = name.trim().to_owned();
    if name.is_empty() {
        return Err(format!("line {number} has no name behind the identity key"));
    }
    Ok(ExpectedMember { name, identity_key })
}

/// Refuses a list that no federation can have: a name or an identity twice, a name that nobody could have.
///
/// # Errors
/// Names the entry.
pub(super) fn check(list: &[ExpectedMember]) -> Result<(), String> {
    let count = list.len();
    if !(3..=usize::from(MAX_MEMBERS)).contains(&count) {
        return Err(format!("{count} members are expected: 3 to {MAX_MEMBERS} can be"));
    }
    for (place, member) in list.iter().enumerate() {
        let name = harmless_line(&member.name);
        if let Some(hidden) = first_hidden(&member.name) {
            return Err(format!("the name `{name}` has {hidden}, a character that nobody sees"));
        }
        if member.name.is_empty() || member.name.len() > MAX_NAME_BYTES {
            return Err(format!("the name `{name}` must have 1 to {MAX_NAME_BYTES} bytes"));
        }
        for other in list.iter().take(place) {
            if other.identity_key == member.identity_key {
                let key = member.identity_key;
                return Err(format!(
                    "{} and {name} are expected with one identity, {key}",
                    other.name
                ));
            }
            if super::look_alike(&other.name, &member.name) {
                return Err(format!(
                    "two members are expected as `{}` and `{name}`, which look alike",
                    other.name
                ));
            }
        }
    }
    Ok(())
}

/// Refuses expected members that no list could be, or that are without the node `own`, or without the draft's owner.
pub(super) fn check_here(
    list: &[ExpectedMember],
    own: &Member,
    owner: Option<&IdentityKey>,
) -> Result<(), FoundingError> {
    check(list).map_err(FoundingError::Request)?;
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

/// In what `members` are not those that are expected, one sentence each; empty if they are exactly these.
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

/// Who is in an open draft and not expected, or not as it is expected: those who are missing may still come.
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
            let reason = from_lines(&text).unwrap_err();
            assert!(reason.contains(part), "{reason} does not speak of {part:?}");
        }
    }

    #[test]
    fn every_difference_is_said_by_name() {
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
