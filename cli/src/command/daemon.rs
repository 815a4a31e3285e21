//! `daemon`: this node in the foreground, the same function as the `fedshieldd` program.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;
use fedshieldd::identity::{Identity, PASSPHRASE_FILE_VARIABLE, Passphrase};
use fedshieldd::node;

use super::config::SetFlags;
use crate::connection;
use crate::failure::Failure;
use crate::passphrase;

/// Arguments of `daemon`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli daemon
  fedshield-cli daemon --set log.level=debug --set http.listen=127.0.0.1:9464

Ctrl-C stops it in an orderly way. As a service, run the `fedshieldd` program instead.")]
pub struct DaemonArgs {
    #[command(flatten)]
    pub(crate) set: SetFlags,
    /// The file with the identity's passphrase [default: $FEDSHIELD_PASSPHRASE_FILE; asked for on a
    /// terminal]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Stop in an orderly way when standard input ends: for programs that start daemons
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

/// How long a daemon whose starter is gone may take to accept the stop, and then again to stop.
const STOP_LIMIT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(200);

/// Runs the daemon until it is stopped.
///
/// # Errors
/// Whatever keeps it from starting or ends it.
pub fn run(args: &DaemonArgs, home: &Home) -> Result<(), Failure> {
    if !home.identity().exists() {
        return Err(Failure::new(ErrorCode::NoIdentity, "there is no node in this home yet")
            .at(home.path().display())
            .next("make one with `fedshield-cli init`, or name another home with `--home`"));
    }
    let passphrase = passphrase(args, home)?;
    if args.stop_with_stdin {
        stop_when_stdin_ends(home.clone())?;
    }
    let overrides = args.set.overrides();
    node::run_process(home, &overrides, passphrase).map_err(|error| {
        let failure =
            Failure::new(error.code(), fedshieldd::error_chain(&error)).next(error.hint());
        let failure = failure.at(home.path().display());
        match error.code() {
            ErrorCode::ConfigInvalid => failure.next("try `fedshield-cli config check`"),
            ErrorCode::NoIdentity => failure.next("make one with `fedshield-cli init`"),
            ErrorCode::IdentityLocked => failure.next(
                "name the file with the passphrase: `--passphrase-file FILE`; on a terminal it is asked for",
            ),
            ErrorCode::AddressInUse => {
                failure.next("is another daemon running for this home or port?")
            }
            ErrorCode::StoreCorrupted => {
                failure.next("run the version of the program that wrote it; see docs/OPERATING.md")
            }
            ErrorCode::DiskFull => failure.next("free some space on that disk and start it again"),
            _ => failure,
        }
    })
}

/// The passphrase from the file or the terminal. `None`: the daemon library reads the environment.
fn passphrase(args: &DaemonArgs, home: &Home) -> Result<Option<Passphrase>, Failure> {
    if let Some(file) = &args.passphrase_file {
        return Passphrase::from_file(file).map(Some).map_err(|error| {
            Failure::new(ErrorCode::IdentityLocked, format!("cannot read the passphrase: {error}"))
                .next("check the path for a typing error")
        });
    }
    let named = std::env::var_os(PASSPHRASE_FILE_VARIABLE).is_some()
        || std::env::var_os("CREDENTIALS_DIRECTORY").is_some();
    let encrypted = matches!(Identity::is_encrypted_at(&home.identity()), Ok(true));
    if encrypted && !named && !args.stop_with_stdin && passphrase::can_ask() {
        return passphrase::ask_for(home).map(Some);
    }
    Ok(None)
}

/// Stops the daemon when standard input closes: that happens whenever the program that started it
/// ends, in whatever way.
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
