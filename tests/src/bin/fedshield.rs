//! The command line, built here because a test can only find programs of its own package.

#[global_allocator]
static ALLOCATOR: fedshieldd::Allocator = fedshieldd::Allocator;

fn main() -> std::process::ExitCode {
    fedshield_cli::run::main()
}
