//! Who takes part in the demo: a name, a model and data for each member.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use fedshieldd::control::api::ErrorCode;

use super::DemoArgs;
use crate::failure::Failure;

/// One organisation of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// What it trains on.
    pub train: Training,
    /// What it measures on; `None`: a fraction of the training data.
    pub held_out: Option<PathBuf>,
    /// Its own test file.
    pub test: Option<PathBuf>,
}

/// Where training examples come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Training {
    /// The whole file.
    File(PathBuf),
    /// Every `of`-th line of the file, from line `index` (from 0) on: several members share one
    /// domain.
    Share {
        /// The file.
        file: PathBuf,
        /// Which share.
        index: usize,
        /// How many shares.
        of: usize,
    },
}

/// The folder with the shipped model and the shipped data, as it was when this program was built.
fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/train/assets")
}

/// Which of the shipped data the members have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shipped {
    /// Hospitals that write the same kind of note, each in a style of its own, with few notes each:
    /// what federations are for.
    Hospitals,
    /// A bank, a court, a farm and a hospital with many examples each and nothing in common: each
    /// is better off alone.
    Domains,
}

impl Shipped {
    /// Its folder among the assets, and how the names of files to train on end.
    fn place(self) -> (PathBuf, &'static str) {
        match self {
            Self::Hospitals => (assets().join("hospitals"), ".train.jsonl"),
            Self::Domains => (assets().join("domains"), ".jsonl"),
        }
    }
}

/// The fixed questions that the demo asks at its end; `None` where its data have none.
#[must_use]
pub fn questions(args: &DemoArgs) -> Option<PathBuf> {
    let shipped = args.source.data.is_empty() && args.source.model.is_none();
    let file = assets().join("hospitals/questions.jsonl");
    (shipped && args.shipped == Shipped::Hospitals).then_some(file)
}

/// The base model: that of `--model`, or the shipped one.
///
/// # Errors
/// If it is not there.
pub fn model(args: &DemoArgs) -> Result<PathBuf, Failure> {
    let path = args.source.model.clone().unwrap_or_else(|| assets().join("base"));
    path.canonicalize().map_err(|error| {
        let next = match args.source.model {
            Some(_) => "give a Hugging Face folder or a GGUF file",
            None => "run the demo where the sources are, or name a model with `--model`",
        };
        Failure::new(ErrorCode::ModelUnreadable, format!("the base model is not there: {error}"))
            .at(path.display())
            .next(next)
    })
}

/// The members: one for each `--data`, or `--members` of the shipped organisations.
///
/// # Errors
/// If files are missing or their number does not fit.
pub fn parts(args: &DemoArgs) -> Result<Vec<Part>, Failure> {
    let parts = if args.source.data.is_empty() {
        let apart = [("--held-out", &args.source.held_out), ("--test", &args.source.test)];
        if let Some((flag, _)) = apart.into_iter().find(|(_, files)| !files.is_empty()) {
            return Err(usage(flag, "its files belong to `--data` files", "give both"));
        }
        let (folder, ending) = args.shipped.place();
        shipped(&folder, ending, usize::from(args.members.unwrap_or(4)))?
    } else {
        from_files(args)?
    };
    if parts.len() < 3 {
        return Err(usage(
            "--members",
            "a federation of fewer than three cannot hide anything",
            "take three members or more; with `--data`, one file for each",
        ));
    }
    for part in &parts {
        let (Training::File(file) | Training::Share { file, .. }) = &part.train;
        for file in [Some(file), part.held_out.as_ref(), part.test.as_ref()].into_iter().flatten() {
            fs::File::open(file).map_err(|error| {
                Failure::new(ErrorCode::DataUnreadable, format!("cannot read the data: {error}"))
                    .at(file.display())
                    .next("check the path; the format is JSONL, one example a line")
            })?;
        }
    }
    Ok(parts)
}

fn usage(place: &str, what: &str, next: &str) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, what).at(place).next(next)
}

/// `members` members on the files of `folder` with this ending, in turn; a file with several
/// members is dealt out to them. `NAME.validation.jsonl` and `NAME.test.jsonl` are the other parts.
fn shipped(folder: &Path, ending: &str, members: usize) -> Result<Vec<Part>, Failure> {
    let entries = fs::read_dir(folder)
        .map_err(|error| Failure::io("find the shipped data", folder, &error))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(ending).map(str::to_owned))
        .collect();
    names.sort();
    if names.is_empty() {
        return Err(Failure::new(ErrorCode::DataUnreadable, "there is no shipped data")
            .at(folder.display())
            .next("name files with `--data`"));
    }
    let parts = names.iter().cycle().take(members).enumerate().map(|(member, source)| {
        let file = folder.join(format!("{source}{ending}"));
        let apart = |part: &str| {
            Some(folder.join(format!("{source}.{part}.jsonl"))).filter(|file| file.exists())
        };
        let (held_out, test) = (apart("validation"), apart("test"));
        // How many members this file has.
        let of = (members - member % names.len()).div_ceil(names.len());
        let index = member / names.len();
        let (name, train) = if of == 1 {
            (source.clone(), Training::File(file))
        } else {
            (format!("{source}-{}", index + 1), Training::Share { file, index, of })
        };
        Part { name, train, held_out, test }
    });
    Ok(parts.collect())
}

/// One member for each `--data` file, named after it.
fn from_files(args: &DemoArgs) -> Result<Vec<Part>, Failure> {
    let files = args.source.data.len();
    if args.members.is_some_and(|members| usize::from(members) != files) {
        let what = format!("{files} data files do not make that many members");
        return Err(usage("--members", &what, "give one `--data` file for each member"));
    }
    let source = &args.source;
    for (flag, name, given) in
        [("--held-out", "held-out", &source.held_out), ("--test", "test", &source.test)]
    {
        if !given.is_empty() && given.len() != files {
            let what = format!("{} {name} files for {files} data files", given.len());
            let next = "give one for each `--data` file, in the same order";
            return Err(usage(flag, &what, next));
        }
    }
    let mut taken = BTreeSet::new();
    let absolute = |file: &Path| {
        file.canonicalize().map_err(|error| {
            Failure::new(ErrorCode::DataUnreadable, format!("cannot read the data: {error}"))
                .at(file.display())
                .next("check the path; the format is JSONL, one example a line")
        })
    };
    args.source
        .data
        .iter()
        .enumerate()
        .map(|(index, file)| {
            let name = free_name(file, &mut taken);
            let apart = |files: &[PathBuf]| files.get(index).map(|file| absolute(file)).transpose();
            let (held_out, test) = (apart(&source.held_out)?, apart(&source.test)?);
            Ok(Part { name, train: Training::File(absolute(file)?), held_out, test })
        })
        .collect()
}

/// The file's name up to its first dot, in plain letters, with a number if it is taken.
fn free_name(file: &Path, taken: &mut BTreeSet<String>) -> String {
    let stem = file.file_name().unwrap_or_default().to_string_lossy();
    let stem = stem.split('.').next().unwrap_or_default();
    let plain: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c.to_ascii_lowercase() } else { '-' })
        .take(24)
        .collect();
    let plain = if plain.trim_matches('-').is_empty() { "member".to_owned() } else { plain };
    let name = (1..)
        .map(|number| if number == 1 { plain.clone() } else { format!("{plain}-{number}") })
        .find(|name| !taken.contains(name))
        .unwrap_or(plain);
    taken.insert(name.clone());
    name
}

impl Part {
    /// The training file: the given one, or this member's share of it written to `folder`.
    ///
    /// # Errors
    /// If the disk refuses to read or write.
    pub fn training_file(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let (file, index, of) = match &self.train {
            Training::File(file) => return Ok(file.clone()),
            Training::Share { file, index, of } => (file, *index, *of),
        };
        let text =
            fs::read_to_string(file).map_err(|error| Failure::io("read the data", file, &error))?;
        let lines = text.lines().skip(index).step_by(of);
        let share: String = lines.flat_map(|line| [line, "\n"]).collect();
        let path = folder.join("train.jsonl");
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, share))
            .map_err(|error| Failure::io("write a share of the data", &path, &error))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(format!("{name}.jsonl")), "1\n2\n3\n4\n5\n").unwrap();
        }
        folder
    }

    #[test]
    fn four_members_have_a_domain_each() {
        let folder = domains(&["a", "b", "c", "d"]);
        let parts = shipped(folder.path(), ".jsonl", 4).unwrap();
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        assert!(parts.iter().all(|part| matches!(part.train, Training::File(_))));
    }

    #[test]
    fn the_parts_of_every_shipped_hospital_share_no_line() {
        let (folder, ending) = Shipped::Hospitals.place();
        let mut seen = BTreeSet::new();
        for part in shipped(&folder, ending, 10).unwrap() {
            let Training::File(train) = &part.train else { panic!("{part:?} shares its data") };
            for file in [Some(train), part.held_out.as_ref(), part.test.as_ref()] {
                let text = fs::read_to_string(file.unwrap()).unwrap();
                assert!(text.lines().count() >= 16, "{file:?}");
                assert!(text.lines().all(|line| seen.insert(line.to_owned())), "{file:?}");
            }
        }
        let questions = fs::read_to_string(folder.join("questions.jsonl")).unwrap();
        assert_eq!(questions.lines().filter(|line| seen.insert(line.to_string())).count(), 10);
    }

    #[test]
    fn more_members_than_domains_share_them_without_overlap() {
        let folder = domains(&["a", "b"]);
        let parts = shipped(folder.path(), ".jsonl", 5).unwrap();
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["a-1", "b-1", "a-2", "b-2", "a-3"]);
        let mut lines: Vec<String> = Vec::new();
        for part in parts.iter().filter(|part| part.name.starts_with("a-")) {
            let file = part.training_file(&folder.path().join(&part.name)).unwrap();
            lines.extend(fs::read_to_string(file).unwrap().lines().map(str::to_owned));
        }
        lines.sort();
        assert_eq!(lines, ["1", "2", "3", "4", "5"]);
    }

    #[test]
    fn names_come_from_the_files_and_are_unique() {
        let mut taken = BTreeSet::new();
        let name = |file: &str, taken: &mut _| free_name(Path::new(file), taken);
        assert_eq!(name("/x/Noun Body.train.jsonl", &mut taken), "noun-body");
        assert_eq!(name("/y/noun-body.jsonl", &mut taken), "noun-body-2");
        assert_eq!(name("/y/....", &mut taken), "member");
    }
}
