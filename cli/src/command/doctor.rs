//! `doctor`: every pre-flight check of the running daemon, what failed and how to fix it.

use clap::Args;
use fedshield_protocol::hidden::harmless_line;
use fedshieldd::control::api::{DoctorView, ErrorCode, Verdict};
use fedshieldd::home::Home;

use super::JsonFlag;
use crate::connection;
use crate::failure::Failure;
use crate::screen::{Colours, Screen};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Runs `doctor`.
///
/// # Errors
/// If no daemon answers, or if a check failed.
pub async fn run(args: &DoctorArgs, home: &Home) -> Result<(), Failure> {
    let view = connection::to(home).doctor().await?;
    Screen::new(args.json.json).answer(&view, render)?;
    let failed = view.checks.iter().filter(|check| check.verdict == Verdict::Failed);
    let failed: Vec<&str> = failed.map(|check| check.name.as_str()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::WrongState, format!("failed checks: {}", failed.join(", ")))
        .next("follow the hints above, then run `fedshield-cli doctor` again"))
}

fn render(view: &DoctorView, colours: Colours) -> String {
    let width = view.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for check in &view.checks {
        let verdict = match check.verdict {
            Verdict::Ok => colours.good("ok     "),
            Verdict::Warning => colours.odd("warning"),
            Verdict::Failed => colours.bad("failed "),
        };
        let message = harmless_line(&check.message);
        text.push_str(&format!("{verdict}  {:width$}  {message}\n", check.name));
        if let Some(hint) = &check.hint {
            text.push_str(&format!("         {:width$}  {}\n", "", colours.faint(hint)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use fedshieldd::control::api::Check;

    use super::*;

    #[test]
    fn a_hint_stands_under_its_check() {
        let check = |name: &str, verdict, hint: Option<&str>| Check {
            name: name.into(),
            verdict,
            message: "message".into(),
            hint: hint.map(str::to_owned),
        };
        let view = DoctorView {
            checks: vec![
                check("disk", Verdict::Ok, None),
                check("addresses", Verdict::Failed, Some("open the port")),
            ],
        };
        assert_eq!(
            render(&view, Colours::none()),
            "ok       disk       message\nfailed   addresses  message\n                    open the port\n"
        );
    }
}
