//! `federation leave`, `federation reject`, `federation drop`, `federation abandon`: the ways out
//! of a draft; and the warnings before joining one.

use std::io::IsTerminal;

use clap::Args;
use fedshield_protocol::hidden::harmless_line;
use fedshieldd::control::api::{DropRequest, ErrorCode, LeaveRequest, LeftView};
use fedshieldd::home::Home;

use super::super::JsonFlag;
use super::super::join::confirm;
use super::render;
use crate::connection;
use crate::failure::Failure;
use crate::screen::Screen;
use crate::units;

/// Arguments of `federation leave`, `federation reject` and `federation abandon`.
#[derive(Debug, Args)]
pub struct OutArgs {
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Arguments of `federation drop`.
#[derive(Debug, Args)]
pub struct DropArgs {
    /// The member's name, as `federation show` has it
    pub name: String,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Shows warnings besides the answer; true if there are any. They may quote other members.
pub(super) fn warn(screen: &Screen, warnings: &[String]) -> bool {
    for warning in warnings {
        screen.remark(&format!("warning: {}", harmless_line(warning)));
    }
    !warnings.is_empty()
}

/// Asks at the terminal; without one, having given the command counts as consent.
pub(super) fn agrees(screen: &Screen, question: &str) -> Result<bool, Failure> {
    if screen.wants_json() || !std::io::stdin().is_terminal() {
        return Ok(true);
    }
    confirm(question)
}

fn ask_unless_confirmed(screen: &Screen, yes: bool, question: &str) -> Result<(), Failure> {
    if yes || agrees(screen, question)? {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::Refused, "nothing was changed")
        .next("run the command again, with `--yes` to be asked nothing"))
}

/// Runs `federation leave`, or `federation reject`, which tells the others that the list is wrong.
///
/// # Errors
/// If there is no draft or federation that this node could leave, or no daemon answers.
pub(super) async fn leave(
    args: &OutArgs,
    rejects: bool,
    home: &Home,
    screen: &Screen,
) -> Result<(), Failure> {
    let question = if rejects {
        "Reject the list of members, and take no part in what is founded?"
    } else {
        "Leave, and take no part in what is founded?"
    };
    ask_unless_confirmed(screen, args.yes, question)?;
    let view = connection::to(home).leave(&LeaveRequest { rejects }).await?;
    screen.answer(&view, |view, _| left(view))
}

/// Runs `federation drop`.
///
/// # Errors
/// If this node does not own the draft, nobody has that name, or no daemon answers.
pub(super) async fn drop_member(
    args: &DropArgs,
    home: &Home,
    screen: &Screen,
) -> Result<(), Failure> {
    let daemon = connection::to(home);
    let before = daemon.federation().await?;
    let question = format!("Take {} off the list?", harmless_line(&args.name));
    ask_unless_confirmed(screen, args.yes, &question)?;
    let view = daemon.drop_member(&DropRequest { name: args.name.clone() }).await?;
    let was_frozen = before.frozen;
    screen.answer(&view, |view, colours| {
        let next = if was_frozen {
            "\nthe draft is open again: what was signed is void, and the others come back by themselves when their \
             daemons reach this node; then `fedshield-cli federation found`\n"
        } else {
            "\nit is told when its daemon asks; to come back it needs a fresh invite\n"
        };
        render(view, colours) + next
    })
}

/// Runs `federation abandon`.
///
/// # Errors
/// If this node does not own a draft, it is founded already, or no daemon answers.
pub(super) async fn abandon(args: &OutArgs, home: &Home, screen: &Screen) -> Result<(), Failure> {
    ask_unless_confirmed(screen, args.yes, "Give the draft up, for all its founders?")?;
    let view = connection::to(home).abandon().await?;
    screen.answer(&view, |view, _| {
        format!(
            "abandoned the draft `{}`: its founders are told when their daemons ask, so let this one run\n",
            harmless_line(&view.federation)
        )
    })
}

fn left(view: &LeftView) -> String {
    let name = harmless_line(&view.federation);
    let owner = units::names(std::slice::from_ref(&view.owner));
    if view.was_founded {
        return format!(
            "left the federation `{name}` before its first round had ended: the daemon starts anew, in none, and tells \
             the other members\n"
        );
    }
    let told = if view.owner_told {
        format!("its owner {owner} knows")
    } else {
        format!(
            "its owner {owner} could not be told yet; the daemon tells it as soon as it can be reached"
        )
    };
    let signed = if view.had_signed && !view.owner_told {
        "\nthis node had signed: the others may complete the founding with its name on the list; it takes no part, and \
         nothing that is sealed to it can be opened\n"
    } else {
        "\n"
    };
    format!("left the draft `{name}`: {told}{signed}")
}
