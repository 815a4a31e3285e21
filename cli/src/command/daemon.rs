//! `daemon`: this node in the foreground, the same function as the `fedshieldd` program.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;

use super::config::SetFlags;
use crate::connection;
use crate::failure::Failure;

/// Arguments of `daemon`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli daemon
  fedshield-cli daemon --set log.level=debug --set http.listen=127.0.0.1:9464

Ctrl-C stops it in an orderly way. As a service, run the `fedshieldd` program instead.")]
pub struct DaemonArgs {
    #[command(flatten)]
    pub(crate) set: SetFlags,
    /// The file with the identity's passphrase [default: $FEDSHIELD_PASSPHRASE_FILE]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Stop in an orderly way when standard input ends: for programs that start daemons
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

/// How long a daemon whose starter is gone may take to hear that it should stop.
const STOP_LIMIT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(200);

/// Runs the daemon until it is stopped.
///
/// # Errors
/// Whatever keeps it from starting or ends it.
pub fn run(args: &DaemonArgs, home: &Home) -> Result<(), Failure> {
    if args.stop_with_stdin {
        stop_when_stdin_ends(home.clone())?;
    }
    Err(Failure::new(ErrorCode::Internal, "the daemon library cannot run a node yet"))
}

/// When the program that started this daemon ends, in whatever way, the other end of standard input closes.
fn stop_when_stdin_ends(home: Home) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed = |error: std::io::Error| {
        Failure::new(ErrorCode::Internal, format!("cannot watch standard input: {error}"))
    };
    let runtime = runtime.map_err(failed)?;
    let watch = move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let deadline = Instant::now() + STOP_LIMIT;
        runtime.block_on(async {
            // The control socket may not be there yet.
            while connection::to(&home).stop().await.is_err() && Instant::now() < deadline {
                tokio::time::sleep(POLL).await;
            }
            tokio::time::sleep(STOP_LIMIT).await;
        });
        // Everything that matters is on disk already: a node may be stopped at any moment.
        std::process::exit(i32::from(ErrorCode::Timeout.exit_code()));
    };
    std::thread::Builder::new().name("stdin".into()).spawn(watch).map_err(failed)?;
    Ok(())
}
