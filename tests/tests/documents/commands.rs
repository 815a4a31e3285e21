//! Commands that the pages show: our own parse with the real parser, cargo's name packages, tests
//! and examples that exist.

use std::collections::BTreeMap;
use std::process::Command;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use fedshield_cli::args::Cli;
use serde_json::Value;

use super::pages::{Page, none, pages, read};

/// Words of a command line, quotes taken off; what follows two spaces or a `#` is a remark.
fn words(line: &str) -> Vec<String> {
    let line = line.split(" # ").next().unwrap_or_default();
    let line = line.trim_start().split("  ").next().unwrap_or_default();
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (' ', None) => {
                words.extend(Some(core::mem::take(&mut word)).filter(|word| !word.is_empty()));
            }
            (c, _) => word.push(c),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// Every line of code of a page, in fences or indented; continued lines are one.
fn lines_of_code(page: &Page) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let (mut fenced, mut continued) = (false, false);
    for (number, line) in page.text.lines().enumerate() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            let (text, goes_on) = match line.strip_suffix('\\') {
                Some(text) => (text, true),
                None => (line, false),
            };
            match lines.last_mut().filter(|_| continued) {
                Some((_, last)) => last.push_str(text.trim_start()),
                None => lines.push((number + 1, text.to_owned())),
            }
            continued = goes_on;
        }
    }
    lines
}

/// The command that `words` run with `program`, without what precedes it (`sudo`, variables).
fn after<'a>(words: &'a [String], program: &str) -> Option<&'a [String]> {
    let position = words.iter().position(|word| word == program)?;
    let before = &words[..position];
    let is_prefix = |word: &String| word.contains('=') || word.len() <= 10 && word != "cargo";
    before.iter().all(is_prefix).then(|| &words[position + 1..])
}

/// Parses a line with the real parser. `mentioned` in a sentence, it may lack its arguments.
fn parse(arguments: &[String], mentioned: bool) -> Result<(), String> {
    let digest = "0".repeat(64);
    let filled = arguments.iter().map(|word| match word.as_str() {
        "ID" | "DIGEST" => digest.clone(),
        word => word.to_owned(),
    });
    match Cli::try_parse_from(std::iter::once("fedshield-cli".to_owned()).chain(filled)) {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(()),
            ErrorKind::MissingRequiredArgument if mentioned => Ok(()),
            _ => Err(error.to_string().lines().next().unwrap_or_default().to_owned()),
        },
    }
}

#[test]
fn every_command_line_of_ours_parses() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let mentioned = page.code_spans().into_iter().map(|(number, line)| (number, line, true));
        let shown = lines_of_code(&page).into_iter().map(|(number, line)| (number, line, false));
        for (number, line, mentioned) in shown.chain(mentioned) {
            let words = words(&line);
            let demo = words.first().is_some_and(|word| word == "cargo")
                && words.get(1).is_some_and(|word| word == "demo");
            let arguments = if demo {
                words[1..].to_vec()
            } else if let Some(arguments) = after(&words, "fedshield-cli") {
                arguments.to_vec()
            } else {
                continue;
            };
            // The program itself, its help in general, or an arrow of a picture.
            if arguments.first().is_none_or(|word| ["COMMAND", "-->"].contains(&word.as_str())) {
                continue;
            }
            seen += 1;
            if let Err(error) = parse(&arguments, mentioned) {
                wrong.push(format!("{}:{number}: {}: {error}", page.path, arguments.join(" ")));
            }
        }
    }
    none("command lines that do not parse", &wrong);
    assert!(seen > 40, "only {seen} command lines were found");
}

/// Commands without subcommands, with the words that lead to them, and all long flags.
fn walk(command: &clap::Command, path: &str, leaves: &mut Vec<String>, flags: &mut Vec<String>) {
    flags.extend(command.get_arguments().filter_map(|a| a.get_long()).map(str::to_owned));
    let mut is_leaf = true;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        is_leaf = false;
        let path = format!("{path} {}", inner.get_name());
        walk(inner, path.trim_start(), leaves, flags);
    }
    if is_leaf {
        leaves.push(path.to_owned());
    }
}

#[test]
fn the_page_of_commands_has_all_of_them_and_no_other_flags() {
    let (mut leaves, mut flags) = (Vec::new(), vec!["help".to_owned(), "version".to_owned()]);
    walk(&Cli::command(), "", &mut leaves, &mut flags);
    let page = Page { path: "docs/CLI.md".to_owned(), text: read("docs/CLI.md") };
    let spans: Vec<(usize, String)> = page.code_spans();
    let mut wrong: Vec<String> = leaves
        .iter()
        .filter(|leaf| {
            let starts = |span: &String| {
                span == *leaf || span.strip_prefix(*leaf).is_some_and(|rest| rest.starts_with(' '))
            };
            !spans.iter().any(|(_, span)| starts(span))
        })
        .map(|leaf| format!("docs/CLI.md lacks `{leaf}`"))
        .collect();
    for (number, span) in &spans {
        for word in words(span) {
            let flag = word.strip_prefix("--").map(|flag| flag.split('=').next().unwrap_or(flag));
            let is_name = |flag: &&str| {
                !flag.is_empty() && flag.chars().all(|c| c.is_ascii_lowercase() || c == '-')
            };
            if let Some(flag) = flag.filter(is_name).filter(|f| !flags.iter().any(|g| g == f)) {
                wrong.push(format!("docs/CLI.md:{number}: there is no --{flag}"));
            }
        }
    }
    none("the page of commands", &wrong);
}

/// Names of targets by kind and package, and the features of each package.
fn targets() -> BTreeMap<String, Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let name = |package: &Value| package["name"].as_str().unwrap_or_default().to_owned();
    packages.into_iter().map(|package| (name(&package), package)).collect()
}

fn has_target(package: &Value, kind: &str, name: &str) -> bool {
    package["targets"].as_array().into_iter().flatten().any(|target| {
        target["name"] == name
            && target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind))
    })
}

/// What is wrong with one line for cargo.
fn cargo_fault(words: &[String], packages: &BTreeMap<String, Value>) -> Option<String> {
    let own: Vec<&String> = words.iter().take_while(|word| *word != "--").collect();
    let value = |flags: &[&str]| -> Vec<&str> {
        let at = |(i, word): (usize, &&String)| flags.contains(&word.as_str()).then_some(i + 1);
        own.iter()
            .enumerate()
            .filter_map(at)
            .filter_map(|i| own.get(i))
            .map(|w| w.as_str())
            .collect()
    };
    let named = value(&["-p", "--package"]);
    if let Some(unknown) = named.iter().find(|name| !packages.contains_key(**name)) {
        return Some(format!("there is no package {unknown}"));
    }
    for (flag, kind) in [("--test", "test"), ("--example", "example"), ("--bin", "bin")] {
        for name in value(&[flag]) {
            let found = packages.iter().any(|(package, value)| {
                (named.is_empty() || named.contains(&package.as_str()))
                    && has_target(value, kind, name)
            });
            if !found && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) {
                return Some(format!("there is no {kind} {name}"));
            }
        }
    }
    None
}

#[test]
fn every_line_for_cargo_names_what_exists() {
    let packages = targets();
    let mut wrong = Vec::new();
    for page in pages() {
        for (number, line) in lines_of_code(&page).into_iter().chain(page.code_spans()) {
            // Fuzzing has a workspace of its own.
            let words = words(&line);
            let Some(arguments) = after(&words, "cargo").filter(|_| !line.contains("fuzz run"))
            else {
                continue;
            };
            if let Some(fault) = cargo_fault(arguments, &packages) {
                wrong.push(format!("{}:{number}: {line}: {fault}", page.path));
            }
        }
    }
    none("lines for cargo", &wrong);
}

#[test]
fn remarks_and_quotes_are_taken_off() {
    assert_eq!(words("  a --b \"c d\"   what it does"), ["a", "--b", "c d"]);
    assert_eq!(words("stop # now"), ["stop"]);
    let line = words("sudo -u fedshield X=1 fedshield-cli status");
    assert_eq!(after(&line, "fedshield-cli"), Some(&["status".to_owned()][..]));
}
