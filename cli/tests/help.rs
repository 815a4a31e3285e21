//! The help of every command fits a terminal: no line is longer than it, and no row of a table and
//! no example is broken.

use clap::{Command, CommandFactory};
use fedshield_cli::args::Cli;

/// Widths in columns: the usual terminal, and the limit of the help.
const WIDTHS: [usize; 2] = [80, 100];

/// Calls `look` for a command and all commands below it, with its name in full.
fn each(command: &mut Command, name: &str, look: &mut dyn FnMut(&str, &mut Command)) {
    look(name, command);
    for below in command.get_subcommands_mut() {
        let name = format!("{name} {}", below.get_name());
        each(below, &name, look);
    }
}

fn all(look: &mut dyn FnMut(&str, &mut Command)) {
    let mut command = Cli::command();
    command.build();
    each(&mut command, "fedshield-cli", look);
}

#[test]
fn no_line_of_any_help_is_longer_than_the_terminal() {
    let mut looked = 0;
    all(&mut |name, command| {
        for width in WIDTHS {
            let mut at = command.clone().term_width(width);
            for text in [at.render_help(), at.render_long_help()] {
                let text = text.to_string();
                // Lines of usage are not wrapped; all of them fit the wider terminal.
                let mut lines = text.lines().filter(|it| width == 100 || !it.starts_with("Usage:"));
                let long = lines.find(|line| line.chars().count() > width);
                assert_eq!(long, None, "{name} --help at {width} columns");
            }
        }
        looked += 1;
    });
    assert!(looked > 30, "{looked} commands");
}

#[test]
fn no_row_of_a_table_and_no_paragraph_is_broken() {
    all(&mut |name, command| {
        let texts = [command.get_after_help(), command.get_after_long_help()];
        let texts: Vec<String> = texts.into_iter().flatten().map(ToString::to_string).collect();
        for width in WIDTHS {
            let shown = command.clone().term_width(width).render_help().to_string();
            let shown: Vec<&str> = shown.lines().collect();
            for line in texts.iter().flat_map(|text| text.lines()) {
                let is_row = line.starts_with(' ');
                let is_whole = shown.contains(&line);
                assert!(is_whole || !is_row, "{name}, broken at {width} columns: {line}");
            }
        }
        for text in &texts {
            // Lines broken by hand are broken once more, in other places, by a narrow terminal.
            let lines: Vec<&str> = text.lines().collect();
            for pair in lines.windows(2) {
                let are_one = pair.iter().all(|line| !line.is_empty() && !line.starts_with(' '));
                assert!(!are_one, "{name}: a paragraph is one line: {pair:?}");
            }
        }
    });
}
