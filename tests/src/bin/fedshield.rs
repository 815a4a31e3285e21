//! The command line, built here because a test can only find programs of its own package.

fn main() -> std::process::ExitCode {
    fedshield_cli::run::main()
}
