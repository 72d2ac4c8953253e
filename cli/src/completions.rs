//! `caudal completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::context::print;
use crate::failure::Failure;

const EXAMPLES: &str = "Examples:
  caudal completions bash > ~/.local/share/bash-completion/completions/caudal
  caudal completions zsh > \"${fpath[1]}/_caudal\"
  caudal completions fish > ~/.config/fish/completions/caudal.fish";

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "caudal", &mut script);
    print(&script)
}
