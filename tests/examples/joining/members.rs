//! The members' data: three parts each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fedshield_train::Valid;
use fedshield_train::data::{DataSet, DataSettings, Part};
use fedshield_train::text::{Template, TextTokenizer};

use crate::Outcome;
use crate::options::Options;

/// Of a file without parts, for each of the two other parts.
const APART: f64 = 0.125;

/// One member, or one file before it is divided.
#[derive(Clone)]
pub(crate) struct Member {
    pub name: String,
    pub data: DataSet,
}

/// Reads the files that `options` name.
pub(crate) fn load(options: &Options, tokenizer: &TextTokenizer) -> Outcome<Vec<Member>> {
    let names = match options.members.is_empty() {
        true => names(&options.data)?,
        false => options.members.clone(),
    };
    let template = Template::parse(&options.template)?;
    let how = DataSettings { template, max_length: options.seq, ..DataSettings::default() };
    let mut members: Vec<Member> = Vec::new();
    for name in names {
        if members.iter().any(|member| member.name == name) {
            return Err(format!("--members names {name} twice").into());
        }
        let data = member(&options.data, &name, tokenizer, &how)?;
        if data.held_out.is_empty() || data.test.is_empty() {
            return Err(format!("{name} has no example to validate or to test on").into());
        }
        members.push(Member { name, data });
    }
    Ok(members)
}

fn member(
    folder: &Path,
    name: &str,
    tokenizer: &TextTokenizer,
    how: &DataSettings,
) -> Outcome<DataSet> {
    let file = |part: &str| folder.join(format!("{name}{part}.jsonl"));
    if !file(".train").exists() {
        let how = Valid::new(DataSettings { held_out: APART, test: APART, ..how.clone() })?;
        return Ok(DataSet::load(&[file("")], tokenizer, &how)?);
    }
    let how = Valid::new(DataSettings { held_out: 0.0, test: 0.0, ..how.clone() })?;
    let mut set = DataSet::load(&[file(".train")], tokenizer, &how)?;
    for (part, name) in [(Part::HeldOut, ".validation"), (Part::Test, ".test")] {
        set = set.with_part(part, DataSet::load_held_out(&[file(name)], tokenizer, &how)?);
    }
    Ok(set)
}

/// The names of the files in a folder, in order.
fn names(folder: &Path) -> Outcome<Vec<String>> {
    let paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|error| format!("{}: {error}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Outcome<_>>()?;
    let file =
        |path: &PathBuf| Some(path.file_name()?.to_str()?.strip_suffix(".jsonl")?.to_owned());
    let files: BTreeSet<String> = paths.iter().filter_map(file).collect();
    let in_parts: Vec<String> =
        files.iter().filter_map(|name| name.strip_suffix(".train")).map(str::to_owned).collect();
    match in_parts.is_empty() {
        true => Ok(files.into_iter().collect()),
        false => Ok(in_parts),
    }
}
