//! `fedshieldd`: one node as a service. The same function as `fedshield-cli daemon`.

#[global_allocator]
static ALLOCATOR: fedshieldd::Allocator = fedshieldd::Allocator;

fn main() -> std::process::ExitCode {
    fedshieldd::program::main()
}
