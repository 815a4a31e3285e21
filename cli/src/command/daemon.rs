//! `daemon`: this node in the foreground, the same function as the `fedshieldd` program.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;
use fedshieldd::identity::PASSPHRASE_FILE_VARIABLE;
use fedshieldd::node;

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
    /// Put a corrupted store aside first; the ledger is fetched from the other members again
    #[arg(long)]
    pub rebuild_store: bool,
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
    if let Some(file) = &args.passphrase_file {
        return again_with_passphrase(file);
    }
    if args.stop_with_stdin {
        stop_when_stdin_ends(home.clone())?;
    }
    node::run_process(home, &args.set.overrides(), args.rebuild_store).map_err(|error| {
        let failure = Failure::new(error.code(), fedshieldd::error_chain(&error));
        let failure = failure.at(home.path().display());
        match error.code() {
            ErrorCode::ConfigInvalid => failure.next("try `fedshield-cli config check`"),
            ErrorCode::NoIdentity => failure.next("make one with `fedshield-cli init`"),
            ErrorCode::IdentityLocked => {
                failure.next("name the passphrase's file: `--passphrase-file FILE`")
            }
            ErrorCode::AddressInUse => {
                failure.next("is another daemon running for this home or port?")
            }
            ErrorCode::StoreCorrupted => {
                failure.next("start it once with `fedshield-cli daemon --rebuild-store`")
            }
            ErrorCode::DiskFull => failure.next("make room on that disk and start it again"),
            _ => failure,
        }
    })
}

/// The daemon library takes the passphrase's file from the environment, and a process cannot safely change its own: so
/// this one becomes another with the variable set and the flag left out.
fn again_with_passphrase(file: &Path) -> Result<(), Failure> {
    let file = file.canonicalize().map_err(|error| {
        Failure::new(ErrorCode::IdentityLocked, format!("cannot read the passphrase: {error}"))
            .at(file.display())
    })?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::io("find this program", Path::new("itself"), &error))?;
    let mut arguments: Vec<OsString> = Vec::new();
    let mut given = std::env::args_os().skip(1);
    while let Some(argument) = given.next() {
        let text = argument.to_string_lossy();
        if text == "--passphrase-file" {
            given.next();
        } else if !text.starts_with("--passphrase-file=") {
            arguments.push(argument);
        }
    }
    let error = std::process::Command::new(&program)
        .args(arguments)
        .env(PASSPHRASE_FILE_VARIABLE, file)
        .exec();
    Err(Failure::io("start this program again", &program, &error))
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
