//! The `fedshieldd` program, built here because a test can only find programs of its own package.

fn main() -> std::process::ExitCode {
    fedshieldd::program::main()
}
