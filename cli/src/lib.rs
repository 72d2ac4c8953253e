//! The `caudal` command line: the broker and every tool for it, in one binary.
//!
//! * [`main`] is the whole program; `args` is its grammar, and each verb has a file or a folder of its own name.
//! * `values` and `format` read what users type; `context`, `table`, `tally` and `failure` are how commands answer.

mod args;
mod bench;
mod clock;
mod cluster;
mod completions;
mod confirm;
mod consume;
mod context;
mod counted;
mod failure;
mod format;
mod json_text;
mod log;
mod produce;
mod profile;
mod serve;
mod table;
mod tally;
mod threads;
mod topic;
mod values;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command};
use context::Context;
use failure::{Code, Failure, one_line};

/// The command tree, for whoever documents it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line of this process and answers with its exit code.
pub fn main() -> ExitCode {
    let cli = match parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let with_causes = cli.global.verbose > 0;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(with_causes),
    }
}

/// Reads the command line. Help and version are printed, and end the program like an error does.
fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let parsed = Cli::command().try_get_matches_from(words).and_then(|found| Cli::from_arg_matches(&found));
    parsed.map_err(|error| {
        if error.use_stderr() {
            eprintln!("{}", usage_line(&error));
            return ExitCode::from(Code::Usage as u8);
        }
        // A broken pipe is no error.
        drop(error.print());
        ExitCode::SUCCESS
    })
}

/// What clap says on several lines, on one.
fn usage_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraphs = text.split("\n\n").filter(|paragraph| !paragraph.starts_with("For more information"));
    let lines: Vec<String> = paragraphs
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|paragraph| !paragraph.is_empty())
        .collect();
    one_line(&lines.join("; "))
}

fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { global, command } = cli;
    let context = Context::new(&global)?;
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Completions(args) => completions::run(&args),
        Command::Log(args) => log::run(&context, args),
        Command::Topic(args) => block_on(interruptible(topic::run(&context, args))),
        Command::Cluster(args) => block_on(interruptible(cluster::run(&context, args))),
        Command::Consume(args) => block_on(interruptible(consume::run(&context, args))),
        // These two say how far they came, or clean up.
        Command::Produce(args) => block_on(produce::run(&context, args)),
        Command::Bench(args) => block_on(bench::run(&context, args)),
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = threads::runtime()?;
    let outcome = runtime.block_on(work);
    // A thread may still wait for stdin: it must not keep the program.
    runtime.shutdown_background();
    outcome
}

async fn interruptible(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
    }
}

#[cfg(test)]
mod tests;
