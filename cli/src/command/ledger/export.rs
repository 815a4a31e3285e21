//! `ledger export`: the files that whoever verifies needs.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use fedshield_protocol::ledger;
use fedshield_protocol::object::ObjectRef;
use fedshieldd::control::ControlClient;
use fedshieldd::home::Home;
use fedshieldd::objects::Objects;
use serde::Serialize;

use super::{ADAPTER_FILE, LEDGER_FILE, MANIFEST_FILE, ledger_of, read};
use crate::command::JsonFlag;
use crate::failure::Failure;
use crate::screen::Screen;

/// Arguments of `ledger export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The folder; made if missing
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// The files that an export wrote.
#[derive(Debug, Serialize)]
struct Exported {
    ledger: PathBuf,
    manifest: PathBuf,
    /// `None` before the first applied round, and while the node does not have the adapter.
    adapter: Option<PathBuf>,
}

pub(super) async fn run(args: &ExportArgs, home: &Home) -> Result<(), Failure> {
    let screen = Screen::new(args.json.json);
    Failure::unless_writable(home, &args.directory)?;
    let bytes = ledger_of(home, &screen).await?;
    let files = write(&bytes, home, &args.directory)?;
    if files.adapter.is_none() && recorded_adapter(&bytes).is_some() {
        screen.remark("the last adapter is not in this home yet: exported without it");
    }
    screen.answer(&files, |files, _| {
        let all = [Some(&files.ledger), Some(&files.manifest), files.adapter.as_ref()];
        let lines = all.into_iter().flatten().map(|path| format!("{}\n", path.display()));
        lines.collect()
    })
}

/// Writes the ledger of `daemon`, and the signed manifest of its home, to `directory`; returns the
/// path of the ledger.
///
/// # Errors
/// If no daemon answers or a file cannot be written.
pub async fn export(
    daemon: &ControlClient,
    home: &Home,
    directory: &Path,
) -> Result<PathBuf, Failure> {
    write(&daemon.ledger().await?, home, directory).map(|files| files.ledger)
}

fn write(bytes: &[u8], home: &Home, directory: &Path) -> Result<Exported, Failure> {
    let signed = read(&home.manifest())?;
    let [ledger, manifest, adapter] =
        [LEDGER_FILE, MANIFEST_FILE, ADAPTER_FILE].map(|name| directory.join(name));
    let recorded = recorded_adapter(bytes);
    let canonical = recorded.and_then(|it| Objects::open_to_read(&home.objects()).read(&it).ok());
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&ledger, bytes))
        .and_then(|()| fs::write(&manifest, signed))
        .and_then(|()| canonical.as_ref().map_or(Ok(()), |bytes| fs::write(&adapter, bytes)))
        .map_err(|error| Failure::io("write the ledger", directory, &error))?;
    Ok(Exported { ledger, manifest, adapter: canonical.is_some().then_some(adapter) })
}

/// The adapter after the last record of a ledger that may be damaged.
fn recorded_adapter(ledger: &[u8]) -> Option<ObjectRef> {
    ledger::decode(ledger).ok()?.last()?.record.adapter
}
