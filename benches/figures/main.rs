//! The figures of a broker as a process, and the floors of the machine they are held against, in one run.
//!
//! `figures CAUDAL [--repeats N] [--dir FOLDER] [--only traffic|starts|idle]`: see `benches/README.md`. Everything is on the loopback, below one
//! scratch folder that goes at the end, and every process that is ended was started here.

mod broker;
mod clock;
mod floors;
mod idle;
mod load;
mod machine;
mod series;
mod starts;
mod table;
mod traffic;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use series::Series;
use table::Table;

/// Disk that the run may need at one moment.
const DISK_BYTES: u64 = 6 * 1024 * 1024 * 1024;

/// Repeats of each measurement unless told otherwise.
const REPEATS: usize = 5;

/// Measures one part; says how busy the machine was in between.
type Measure = fn(&Plan, &Path, &mut Table) -> io::Result<Series>;

/// The parts, in order.
const PARTS: [(&str, Measure); 3] =
    [("traffic", traffic::measure), ("starts", starts::measure), ("idle", idle::measure)];

/// What is measured, and how often.
struct Plan {
    /// The binary.
    caudal: PathBuf,
    /// Where scratch folders are made.
    folder: PathBuf,
    repeats: usize,
    /// The part that is measured; all of them without it.
    only: Option<String>,
}

impl Plan {
    fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == part)
    }
}

fn main() -> ExitCode {
    match plan().and_then(|plan| measure(&plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("figures: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The command line.
fn plan() -> io::Result<Plan> {
    let mut words = std::env::args().skip(1);
    let usage = || io::Error::other("usage: figures CAUDAL [--repeats N] [--dir FOLDER] [--only PART]");
    let caudal = words.next().ok_or_else(usage)?.into();
    let mut plan = Plan { caudal, folder: std::env::temp_dir(), repeats: REPEATS, only: None };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(usage)?;
        match word.as_str() {
            "--repeats" => plan.repeats = value.parse().ok().filter(|n| *n > 0).ok_or_else(usage)?,
            "--dir" => plan.folder = value.into(),
            "--only" if PARTS.iter().any(|(part, _)| *part == value) => plan.only = Some(value),
            _ => return Err(usage()),
        }
    }
    Ok(plan)
}

fn measure(plan: &Plan) -> io::Result<()> {
    if machine::free_bytes(&plan.folder)? < DISK_BYTES {
        let folder = plan.folder.display();
        return Err(io::Error::other(format!("{folder} has less than 6 GiB left: name another with --dir")));
    }
    let scratch = tempfile::Builder::new().prefix("caudal-figures-").tempdir_in(&plan.folder)?;
    print(&format!("{}\n", machine::describe(&plan.folder)))?;
    print(&format!("load average before: {}\n", machine::load_average()))?;
    let mut table = Table::default();
    let mut busy = Series::default();
    for (part, measure) in PARTS {
        if plan.wants(part) {
            busy.0.extend(measure(plan, scratch.path(), &mut table)?.0);
        }
    }
    let worst = busy.0.iter().copied().fold(0.0, f64::max);
    print(&format!("load average after, with the run's own: {}\n", machine::load_average()))?;
    print(&format!("cores in use while nothing was measured: at most {:.0} %\n", worst * 100.0))?;
    if worst > machine::BUSY_SHARE_MAX {
        print(
            "THE MACHINE WAS NOT QUIET: something else ran on it, and the figures are worse than they are.\n",
        )?;
    }
    print(&format!("\n{table}"))
}

/// A folder for the data of a new broker.
fn data(scratch: &Path, name: &str) -> PathBuf {
    scratch.join(name)
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Progress, for who watches: on stderr, and of no consequence.
fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
