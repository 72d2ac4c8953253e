//! The binary under test: the command line as it is.

fn main() -> std::process::ExitCode {
    caudal_cli::main()
}
