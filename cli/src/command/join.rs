//! `invite` and `join`: how an organisation joins a draft.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use fedshield_protocol::hidden::harmless_line;
use fedshieldd::control::api::{ErrorCode, InviteRequest, InviteView, JoinRequest, JoinView};
use fedshieldd::first_adapter::FirstAdapter;
use fedshieldd::founding::in_words;
use fedshieldd::home::Home;

use super::JsonFlag;
use super::expect::ExpectFlag;
use super::federation::{adapter_failure, data_facts, terms_facts};
use crate::connection;
use crate::failure::Failure;
use crate::screen::{Colours, Screen};
use crate::table::facts;
use crate::units;

/// Arguments of `invite`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli invite                  one invite for one organisation
  fedshield-cli invite --expires-hours 2 --quiet | age -r ... > invite.age")]
pub struct InviteArgs {
    /// Hours until the invite expires
    #[arg(long, value_name = "HOURS", default_value_t = 48, value_parser = clap::value_parser!(u64).range(1..=720))]
    pub expires_hours: u64,
    /// Print the invite only
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Arguments of `join`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli join fs1...             shows the terms and asks
  fedshield-cli join fs1... --yes       joins without asking
  fedshield-cli join fs1... --expect members.txt
                                        confirms the list if it is exactly this
  fedshield-cli join - < invite.txt     reads the invite from standard input")]
pub struct JoinArgs {
    /// The invite, `fs1...`, or `-` for standard input
    pub invite: String,
    /// Accept the terms without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Show the terms and join nothing
    #[arg(long, conflicts_with = "yes")]
    pub show: bool,
    /// The adapter that the federation starts from, if its terms name one: a PEFT folder
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) expect: ExpectFlag,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Runs `invite`.
///
/// # Errors
/// If no daemon answers, or it owns no open draft.
pub async fn invite(args: &InviteArgs, home: &Home) -> Result<(), Failure> {
    let request = InviteRequest { expires_s: args.expires_hours * 3600 };
    let view = connection::to(home).invite(&request).await?;
    let screen = Screen::new(args.json.json);
    let quiet = args.quiet;
    if let Some(warning) = &view.warning {
        // On standard error, so that a script that passes the invite on does not pass this on.
        screen.remark(&format!("warning: {warning}"));
    }
    screen.answer(&view, |view: &InviteView, colours| {
        if quiet {
            return format!("{}\n", view.invite);
        }
        let hours = in_words(args.expires_hours * 3600);
        let remark = colours.faint(&format!(
            "for one organisation, once, within {hours}; send it over a channel that you trust"
        ));
        format!("{}\n{remark}\n", view.invite)
    })
}

/// Runs `join`.
///
/// # Errors
/// A broken, used or expired invite, another base model, no answer, or a user who declines.
pub async fn join(args: &JoinArgs, home: &Home) -> Result<(), Failure> {
    let screen = Screen::new(args.json.json);
    let invite = if args.invite == "-" { first_line()? } else { args.invite.trim().to_owned() };
    let daemon = connection::to(home);
    if let Some(folder) = &args.adapter {
        let first = FirstAdapter::open(folder).map_err(|error| adapter_failure(&error))?;
        first.keep(home).map_err(|error| adapter_failure(&error))?;
    }
    let expect = args.expect.read()?;
    let request = |accept, terms_digest| JoinRequest {
        invite: invite.clone(),
        accept,
        terms_digest,
        expect: expect.clone(),
    };
    let preview = daemon.join(&request(false, None)).await?;
    // The warnings are shown even with `--yes` or `--json`, where nothing is asked.
    for warning in &preview.warnings {
        screen.remark(&format!("warning: {}", harmless_line(warning)));
    }
    if args.show {
        return screen.answer(&preview, render);
    }
    if !args.yes {
        let asked = !screen.wants_json() && std::io::stdin().is_terminal();
        if !asked || args.invite == "-" {
            return Err(Failure::new(
                ErrorCode::InvalidRequest,
                "nobody is here to accept the terms",
            )
            .next("read them with `join --show`, then accept them with `join --yes`"));
        }
        screen.text(&render(&preview, screen.colours()))?;
        if !confirm("Join under these terms?")? {
            return Err(Failure::new(
                ErrorCode::Refused,
                "not joined: the terms were not accepted",
            )
            .next("nothing was changed; tell the owner which terms you would accept"));
        }
    }
    // Accepts exactly the terms that were shown: if the owner has changed them since, joining
    // fails.
    let view = daemon.join(&request(true, Some(preview.terms_digest))).await?;
    screen.answer(&view, |view, colours| {
        let (name, owner) = (harmless_line(&view.draft.offer.terms.name), harmless_line(&view.owner));
        let next = if expect.is_some() {
            "when its owner runs `federation found`, this node confirms the list of members if it is the expected one, \
             and trains by itself; watch it with `fedshield-cli status --watch`"
        } else {
            "when its owner has run `federation found`, compare the 24 words of the list with the other organisations \
             and `fedshield-cli federation confirm`; `fedshield-cli status` says when"
        };
        let data = view.data.iter();
        let terms = &view.draft.offer.terms;
        let data = data.flat_map(|data| data_facts(data, terms, colours)).collect::<Vec<_>>();
        let data = facts(colours, &data);
        format!("joined the draft of `{name}`, owned by {owner}\n{data}next: {next}\n")
    })
}

fn render(view: &JoinView, colours: Colours) -> String {
    let members: Vec<String> =
        view.draft.members.iter().map(|member| member.name.clone()).collect();
    let mut list = vec![
        ("federation", harmless_line(&view.draft.offer.terms.name)),
        ("owner", harmless_line(&view.owner)),
        ("members so far", units::names(&members)),
        ("terms", view.terms_digest.to_string()),
    ];
    let offer = &view.draft.offer;
    list.extend(terms_facts(&offer.terms, offer.base_model, &view.draft.members));
    let model = if view.model_matches {
        colours.good("the same")
    } else {
        colours.bad(&format!("another one: {}", view.base_model))
    };
    list.push(("model here", model));
    list.extend(view.data.iter().flat_map(|data| data_facts(data, &offer.terms, colours)));
    if let Some(obstacle) = &view.obstacle {
        list.push(("cannot join", colours.bad(&harmless_line(obstacle))));
    }
    facts(colours, &list)
}

fn first_line() -> Result<String, Failure> {
    let mut line = String::new();
    // An invite has a few hundred characters; anything longer than this is not one.
    let mut input = std::io::Read::take(std::io::stdin(), 64 << 10);
    let read = std::io::BufReader::new(&mut input).read_line(&mut line);
    read.map_err(|error| {
        Failure::io("read the invite", std::path::Path::new("standard input"), &error)
    })?;
    Ok(line.trim().to_owned())
}

/// Asks on standard error; anything but yes is no.
pub(super) fn confirm(question: &str) -> Result<bool, Failure> {
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "{question} [y/N] ");
    let _ = err.flush();
    let answer = first_line()?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}
