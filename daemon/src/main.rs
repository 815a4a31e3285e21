//! `fedshieldd`: one node as a service. The same function as `fedshield-cli daemon`.

fn main() -> std::process::ExitCode {
    fedshieldd::program::main()
}
