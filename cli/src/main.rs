//! See the crate description.

#[global_allocator]
static ALLOCATOR: fedshieldd::Allocator = fedshieldd::Allocator;

fn main() -> std::process::ExitCode {
    fedshield_cli::run::main()
}
