//! See the crate description.

fn main() -> std::process::ExitCode {
    fedshield_cli::run::main()
}
