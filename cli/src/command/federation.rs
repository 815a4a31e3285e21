//! `federation new`, `show`, `found`, `confirm`: from draft terms to a list of members that all
//! founders have compared; and `leave`, `reject`, `drop`, `abandon`: the ways out.

mod confirm;
mod costs;
mod learner;
mod out;
mod render;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use fedshield_protocol::hidden::{first_hidden, harmless};
use fedshield_protocol::limits::MIN_MEMBERS;
use fedshield_protocol::manifest::{Adapter, Terms, TermsFields};
use fedshieldd::config::{Config, Overrides};
use fedshieldd::control::api::{ErrorCode, FoundRequest, NewFederation};
use fedshieldd::first_adapter::{FirstAdapter, FirstAdapterError};
use fedshieldd::home::Home;
use fedshieldd::jobs::PipelineError;
use fedshieldd::offline::StepCost;
use fedshieldd::terms::{Plan, unusual};

use super::JsonFlag;
use super::config::load;
use super::expect::ExpectFlag;
use crate::connection;
use crate::failure::Failure;
use crate::screen::Screen;
use crate::terms::{TermsFlags, TermsPreset, invalid, propose, terms, terms_from_file};
pub(crate) use confirm::lines as phrase_lines;
use costs::Known;
use render::render;
pub use render::{data_facts, terms_facts};

/// `federation ...`.
#[derive(Debug, Subcommand)]
pub enum FederationCommand {
    /// Draft a new federation; this node becomes the draft's owner
    New(Box<NewArgs>),
    /// Show the draft or the manifest in force
    Show(ShowArgs),
    /// Freeze the draft (its owner): the list of members is final, and every founder is asked to confirm it
    Found(FoundArgs),
    /// Confirm the frozen list by its 24 words: this node signs, and round 0 begins when all have
    Confirm(confirm::ConfirmArgs),
    /// The list of members is wrong: leave the draft, and tell the others why
    Reject(out::OutArgs),
    /// Leave the draft; once founded, leave the federation, as long as no round has ended
    Leave(out::OutArgs),
    /// Take a founder off the draft's list (its owner); a frozen draft is open again then, and the others sign anew
    Drop(out::DropArgs),
    /// Abandon the draft (its owner); the founders are told when they ask
    Abandon(out::OutArgs),
}

/// Arguments of `federation new`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli federation new --name northern-hospitals --members 6
  fedshield-cli federation new --name clinics --examples-each 400 --dry-run
  fedshield-cli federation new --name trial --preset paper --rounds 50 --lr 1e-4
  fedshield-cli federation new --name trial --dry-run > terms.toml
  fedshield-cli federation new --terms terms.toml")]
pub struct NewArgs {
    /// The name that members see
    #[arg(long, required_unless_present = "terms")]
    pub name: Option<String>,
    /// Terms to start from; flags change them [default: by --examples-each, else small]
    #[arg(long, value_enum)]
    pub preset: Option<TermsPreset>,
    /// How many members are expected at most: sets the encryption's parameters
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub members: u16,
    /// About how many examples each member trains on: proposes the preset, the rounds (each example
    /// is trained on ten times at most), the learning rate for the node's model, and the time of a
    /// round
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub examples_each: Option<u64>,
    /// Take the terms from a TOML file instead of preset and flags
    #[arg(long, value_name = "FILE", conflicts_with_all = ["preset", "members", "examples_each", "TermsFlags"])]
    pub terms: Option<PathBuf>,
    /// Start from this adapter (PEFT folder), which sets rank, alpha and projections; every member needs it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["rank", "alpha", "target_modules", "rslora"])]
    pub adapter: Option<PathBuf>,
    /// Measure an optimiser step with the node's model, for the time of a round; with
    /// --examples-each this is done for small models
    #[arg(long)]
    pub measure: bool,
    /// Print the terms as TOML, and beside them what they cost a member, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Changes to the preset.
    #[command(flatten)]
    pub flags: TermsFlags,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Arguments of `federation show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Print the draft or manifest as TOML
    #[arg(long)]
    pub toml: bool,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Arguments of `federation found`.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is signed by it: every organisation, this one too, compares the 24 words \
of the list and runs `federation confirm`. With --expect nothing is frozen unless the members are \
exactly those of the file, and this node confirms at once."
)]
pub struct FoundArgs {
    /// Do not ask, whatever the warnings
    #[arg(long, short)]
    pub yes: bool,
    #[command(flatten)]
    pub(crate) expect: ExpectFlag,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

impl FederationCommand {
    /// Whether JSON was asked for.
    #[must_use]
    pub fn json(&self) -> bool {
        match self {
            Self::New(args) => args.json.json,
            Self::Show(args) => args.json.json,
            Self::Found(args) => args.json.json,
            Self::Confirm(args) => args.json.json,
            Self::Leave(args) | Self::Reject(args) | Self::Abandon(args) => args.json.json,
            Self::Drop(args) => args.json.json,
        }
    }
}

/// Runs `federation ...`.
///
/// # Errors
/// Terms that cannot be used, no daemon, or what the daemon refuses.
pub async fn run(command: &FederationCommand, home: &Home) -> Result<(), Failure> {
    let screen = Screen::new(command.json());
    match command {
        FederationCommand::New(args) => new(args, home, &screen).await,
        FederationCommand::Show(args) => {
            let view = connection::to(home).federation().await?;
            if args.toml && !args.json.json {
                return screen.text(&harmless(&view.toml));
            }
            screen.answer(&view, render)
        }
        FederationCommand::Confirm(args) => confirm::run(args, home, &screen).await,
        FederationCommand::Leave(args) => out::leave(args, false, home, &screen).await,
        FederationCommand::Reject(args) => out::leave(args, true, home, &screen).await,
        FederationCommand::Drop(args) => out::drop_member(args, home, &screen).await,
        FederationCommand::Abandon(args) => out::abandon(args, home, &screen).await,
        FederationCommand::Found(args) => {
            let request = FoundRequest { expect: args.expect.read()? };
            let daemon = connection::to(home);
            let before = daemon.federation().await?;
            let warned = !before.frozen && out::warn(&screen, &before.warnings);
            if warned && !args.yes && !out::agrees(&screen, "Freeze the draft all the same?")? {
                return Err(Failure::new(
                    ErrorCode::Refused,
                    "not founded: the draft is still open",
                )
                .next("fix what the warnings name, then run the command again"));
            }
            let view = daemon.found(&request).await?;
            screen.answer(&view, |view, colours| {
                let next = if view.confirmed {
                    "\nthis node has confirmed the list; the founding is complete when all others have: \
                     `fedshield-cli status --watch`\n"
                } else {
                    "\nnothing is signed yet: read the words out to the other organisations over a channel that all of you \
                     trust; each, this one too, then runs `fedshield-cli federation confirm`\n"
                };
                render(view, colours) + next
            })
        }
    }
}

async fn new(args: &NewArgs, home: &Home, screen: &Screen) -> Result<(), Failure> {
    let node = node_of(home, screen);
    let known = Known { members: args.members, examples: args.examples_each, node: node.as_ref() };
    let (mut terms, cost) = chosen(args, &known, screen)?;
    let first = match &args.adapter {
        None => None,
        Some(folder) => {
            let first = FirstAdapter::open(folder).map_err(|error| adapter_failure(&error))?;
            let adapter = adapter_terms(&first)?;
            if first.filled_up {
                screen.remark(&format!(
                    "note: the adapter's ranks, scales or projections differ between layers, or \
                     its alpha is not whole; the federation's has {} everywhere and computes the \
                     same",
                    first.spec
                ));
            }
            terms = Terms::new(TermsFields { adapter, ..terms.into_fields() })
                .map_err(|error| invalid(&error))?;
            Some(first)
        }
    };
    check_name(&terms.name)?;
    if args.dry_run {
        // What needs neither model nor data is checked here, as the daemon will check it.
        Plan::of_terms(&terms, MIN_MEMBERS).map_err(|error| terms_failure(&error))?;
        out::warn(screen, &unusual(&terms));
        for line in known.lines(&terms, cost.as_ref())? {
            screen.remark(&line);
        }
        return screen.answer(&terms, |terms, _| toml_of(terms));
    }
    if args.terms.is_none() && args.members == 3 {
        screen.remark(
            "note: three members need every one of them in every round; use four or \
                       more for real use",
        );
    }
    if let Some(first) = first {
        first.keep(home).map_err(|error| adapter_failure(&error))?;
    }
    let view = connection::to(home).new_federation(&NewFederation { terms }).await?;
    out::warn(screen, &view.warnings);
    screen.answer(&view, |view, colours| {
        let next = "\nnext: `fedshield-cli invite` once for each member, then `fedshield-cli federation found`\n";
        render(view, colours) + next
    })
}

/// The terms of the file, or those that flags make of a preset, what is not said proposed by what
/// is known; and what an optimiser step takes here, if it was measured.
fn chosen(
    args: &NewArgs,
    known: &Known<'_>,
    screen: &Screen,
) -> Result<(Terms, Option<StepCost>), Failure> {
    if let Some(path) = &args.terms {
        let terms = terms_from_file(path)?;
        let cost = known.measure(&terms, args.measure)?;
        return Ok((terms, cost));
    }
    let name = args.name.as_deref().unwrap_or_default();
    check_name(name)?;
    let preset = args.preset.unwrap_or_else(|| propose::preset_for(args.examples_each));
    let mut flags = args.flags.clone().for_model(known.model())?;
    known.propose(preset, &mut flags, screen);
    let made = terms(name, preset, args.members, &flags)?;
    let cost = known.measure(&made, args.measure)?;
    let Some(measured) = cost.as_ref().filter(|_| flags.round_minutes.is_none()) else {
        return Ok((made, cost));
    };
    flags.round_minutes = Some(known.round_minutes(&made, measured)?);
    Ok((terms(name, preset, args.members, &flags)?, cost))
}

/// The configuration of the home, if there is one.
fn node_of(home: &Home, screen: &Screen) -> Option<Config> {
    let config = home.config().exists().then(|| load(home, &Overrides::default(), screen));
    config?.ok()
}

/// The adapter's shape for a manifest, with its name.
fn adapter_terms(first: &FirstAdapter) -> Result<Adapter, Failure> {
    let (rank, alpha) = (first.spec.rank, first.spec.alpha);
    let known = (1.0..=65_536.0).contains(&alpha) && (1..=1024).contains(&rank);
    let rank = u32::try_from(rank).ok().filter(|_| known).ok_or_else(|| {
        let what = format!(
            "rank {rank} and alpha {alpha}: a federation's rank is at most 1024, its alpha 65536"
        );
        Failure::new(ErrorCode::InvalidRequest, what).at(first.folder.display()).next(
            "merge it into the base model (`fedshield-cli adapter merge`) and start without it",
        )
    })?;
    let modules = first.spec.target_modules.iter().map(|module| module.name().to_owned());
    Ok(Adapter {
        rank,
        alpha: alpha as u32,
        target_modules: modules.collect(),
        first: Some(first.digest),
        // Its scale is written as a plain one, whatever the rule that its files name.
        rslora: false,
    })
}

/// The failure for an adapter to start from that cannot be used.
pub(super) fn adapter_failure(error: &FirstAdapterError) -> Failure {
    Failure::new(error.code(), error.to_string())
        .next("name a folder with adapter_config.json and adapter_model.safetensors (plain LoRA)")
}

/// The failure for terms that every daemon would refuse.
fn terms_failure(error: &PipelineError) -> Failure {
    Failure::new(error.code(), format!("these terms cannot be used: {error}"))
        .next("give another value: `fedshield-cli federation new --help` lists the flags")
}

fn toml_of(terms: &Terms) -> String {
    toml::to_string_pretty(terms).unwrap_or_else(|error| format!("# {error}\n"))
}

/// A federation's name is shown everywhere, so it must be short and readable.
///
/// # Errors
/// If it is empty, too long or has invisible characters.
pub fn check_name(name: &str) -> Result<(), Failure> {
    let refuse = |what: String, next: &str| {
        Err(Failure::new(ErrorCode::InvalidRequest, what).at("--name").next(next))
    };
    if name.trim().is_empty() || name.chars().count() > 64 {
        return refuse(format!("{name:?} is not a name"), "give 1 to 64 characters");
    }
    match first_hidden(name) {
        Some(hidden) => refuse(
            format!("the name has {hidden}, a character that nobody sees"),
            "write it without; typed by hand, it will not be there",
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_printable() {
        assert!(check_name("northern hospitals").is_ok());
        for name in ["", "  ", "a\nb", "a\u{200b}b", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert!(check_name("a\u{202e}b").unwrap_err().what.contains("U+202E"));
    }

    #[test]
    fn a_dry_run_prints_terms_that_can_be_read_back() {
        let written = terms("t", TermsPreset::Small, 4, &TermsFlags::default()).unwrap();
        let read: Terms = toml::from_str(&toml_of(&written)).unwrap();
        assert_eq!(read, written);
    }
}
