//! The `caudal` binary.

fn main() -> std::process::ExitCode {
    caudal_cli::main()
}
