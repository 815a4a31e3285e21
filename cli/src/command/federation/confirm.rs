//! `federation confirm`: founders compare the list of members before anything is signed. Also
//! renders phrases.

use std::io::IsTerminal;

use clap::Args;
use fedshield_protocol::hidden::harmless_line;
use fedshieldd::control::api::{ConfirmRequest, ErrorCode, FederationView};
use fedshieldd::home::Home;

use super::super::JsonFlag;
use super::super::join::confirm as asks;
use super::{out, terms_facts};
use crate::connection;
use crate::failure::Failure;
use crate::screen::{Colours, Screen};
use crate::table::{Table, facts};
use crate::units;

/// Words on a line of a phrase.
const WORDS_A_LINE: usize = 6;

/// Arguments of `federation confirm`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each organisation reads the 24 words out to the others over a channel that all \
trust, a call for instance. They are the same everywhere if, and only if, all were shown the same \
list and the same terms. A name for which nobody on the call speaks is a member that nobody knows.

Examples:
  fedshield-cli federation confirm   shows members, terms and words, and asks
  fedshield-cli federation confirm --phrase \"word word ...\"
                                     for scripts: what the others have read out
  fedshield-cli federation reject    the list is wrong: leave, tell the others"
)]
pub struct ConfirmArgs {
    /// The 24 words, as another organisation has read them out; nothing is asked then
    #[arg(long, value_name = "WORDS", num_args = 1..)]
    pub phrase: Vec<String>,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Runs `federation confirm`.
///
/// # Errors
/// If the draft is not frozen, the words are not those of its list, or there is no terminal to
/// compare them on.
pub(super) async fn run(args: &ConfirmArgs, home: &Home, screen: &Screen) -> Result<(), Failure> {
    let daemon = connection::to(home);
    let phrase = if args.phrase.is_empty() {
        let view = daemon.federation().await?;
        match &view.summary.phrase {
            // The daemon reports why there is nothing to confirm.
            None => String::new(),
            Some(phrase) => {
                if !view.confirmed {
                    ask(&view, phrase, screen)?;
                }
                phrase.clone()
            }
        }
    } else {
        args.phrase.join(" ")
    };
    // What was shown is what is confirmed: another list has another phrase.
    let view = daemon.confirm(&ConfirmRequest { phrase }).await?;
    screen.answer(&view, |view, _| confirmed(view))
}

fn ask(view: &FederationView, phrase: &str, screen: &Screen) -> Result<(), Failure> {
    if screen.wants_json() || !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            ErrorCode::InvalidRequest,
            "nobody is here to compare the phrase with the other organisations",
        )
        .next(
            "run it on a terminal, or give the words that another organisation has read out: `--phrase \"word word ...\"`; \
             `join --expect FILE` needs neither",
        ));
    }
    let colours = screen.colours();
    let (terms, base_model) = (view.listing.terms(), view.listing.base_model());
    let mut text = facts(colours, &terms_facts(&terms, base_model, view.listing.members()));
    text = format!("{}\n{text}\n{}", list(view, colours), lines(phrase, colours));
    screen.text(&text)?;
    out::warn(screen, &view.differences);
    let question = "Read the words out to the other organisations over a channel that all of you trust. Did each member of the \
                    list read out the same 24?";
    if asks(question)? {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::Refused, "not confirmed: this node signs nothing").next(
        "run the command again when all have compared; if the list is wrong, `fedshield-cli federation reject`",
    ))
}

/// The members with their whole identities.
pub(super) fn list(view: &FederationView, colours: Colours) -> String {
    let mut table = Table::new(&["member", "identity", "confirmed"]);
    let own = view.summary.self_index.map(fedshield_protocol::ids::MemberIndex::position);
    for (place, member) in view.listing.members().iter().enumerate() {
        let confirmed = if own == Some(place) {
            view.confirmed
        } else {
            view.summary.signed.contains(&member.name)
        };
        let mut state = if confirmed { "yes" } else { "not yet" }.to_owned();
        if own == Some(place) {
            state.push_str(" (this node)");
        }
        table.row([member.name.clone(), member.identity_key.to_string(), state]);
    }
    table.render(colours)
}

/// The words of a phrase for reading aloud: six on a line, with the number of the first.
pub(crate) fn lines(phrase: &str, colours: Colours) -> String {
    let words: Vec<&str> = phrase.split(' ').collect();
    let mut text =
        colours.faint("phrase of the list and the terms, the same at every member") + "\n";
    for (line, chunk) in words.chunks(WORDS_A_LINE).enumerate() {
        let number = line * WORDS_A_LINE + 1;
        text.push_str(&format!("{number:4}  {}\n", colours.strong(&chunk.join(" "))));
    }
    text
}

fn confirmed(view: &FederationView) -> String {
    let name = harmless_line(&view.summary.name);
    if view.founded {
        return format!("confirmed: all members have, and `{name}` is founded\n");
    }
    let own = view.summary.self_index.and_then(|own| view.summary.members.get(own.position()));
    let missing = view.summary.unsigned();
    if own.is_some_and(|own| missing.contains(own)) {
        return format!(
            "confirmed, and kept: the owner of `{name}` could not be told yet; the daemon signs as soon as it is reached\n"
        );
    }
    format!(
        "confirmed: this node signs; the founding of `{name}` waits for {}\nnext: `fedshield-cli status --watch`\n",
        units::names(&missing)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_reads_as_four_numbered_lines() {
        let words: Vec<String> = (1..=24).map(|n| format!("w{n}")).collect();
        let text = lines(&words.join(" "), Colours::none());
        assert_eq!(text.lines().count(), 5);
        assert!(text.ends_with("  19  w19 w20 w21 w22 w23 w24\n"), "{text}");
    }
}
