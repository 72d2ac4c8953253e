//! What every command knows: how to reach brokers, how much to say, and in which form.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use caudal_client::{Client, ClientConfig};
use serde::Serialize;

use crate::args::{Form, Global};
use crate::failure::Failure;
use crate::profile;
use crate::table::Table;
use crate::values::parse_duration;

/// Where a broker listens unless told otherwise.
const BROKERS_DEFAULT: &str = "127.0.0.1:7171";

/// How long one request may take unless told otherwise.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// The global flags, resolved.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// How to reach a cluster.
    pub(crate) client: ClientConfig,
    /// One JSON document instead of tables.
    pub(crate) json: bool,
    /// More on stderr.
    pub(crate) verbose: bool,
    /// Only errors on stderr.
    pub(crate) quiet: bool,
}

impl Context {
    /// Resolves the global flags. A flag goes before the profile, the profile before the environment.
    pub(crate) fn new(global: &Global) -> Result<Context, Failure> {
        let profile = match &global.profile {
            Some(name) => profile::load(name)?,
            None => profile::Profile::default(),
        };
        let environment = std::env::var("CAUDAL_BROKERS").ok().filter(|brokers| !brokers.is_empty());
        let brokers = global.brokers.clone().or(profile.brokers).or(environment);
        let in_profile = profile.timeout.map(|text| parse_duration(&text)).transpose();
        let in_profile =
            in_profile.map_err(|error| Failure::refused(format!("timeout of the profile: {error}")))?;
        let timeout = global.timeout.or(in_profile).unwrap_or(TIMEOUT_DEFAULT);
        if timeout.is_zero() {
            return Err(Failure::usage("--timeout 0 leaves no time for an answer: write 10s"));
        }
        let mut client = ClientConfig::new(brokers.as_deref().unwrap_or(BROKERS_DEFAULT));
        client.request_timeout = timeout;
        client.connect_timeout = timeout.min(client.connect_timeout);
        client.client_id = concat!("caudal-cli/", env!("CARGO_PKG_VERSION")).to_owned();
        Ok(Context {
            client,
            json: global.output == Form::Json,
            verbose: global.verbose > 0,
            quiet: global.quiet,
        })
    }

    /// Connects to the cluster.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        let client = Client::with_config(self.client.clone()).await?;
        self.detail(&format!("connected, beginning with {}", self.client.brokers.join(", ")));
        Ok(client)
    }

    /// Says a line on stderr, unless `-q`.
    pub(crate) fn note(&self, line: &str) {
        if !self.quiet {
            eprintln!("{line}");
        }
    }

    /// Says a line on stderr with `-v`.
    pub(crate) fn detail(&self, line: &str) {
        if self.verbose {
            eprintln!("{line}");
        }
    }

    /// Prints the one JSON document of a command.
    pub(crate) fn print_json(&self, document: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_vec_pretty(document)
            .map_err(|error| Failure::refused(format!("the answer does not fit JSON: {error}")))?;
        text.push(b'\n');
        print(&text)
    }

    /// Prints a table on stdout.
    pub(crate) fn print_table(&self, table: &Table) -> Result<(), Failure> {
        print(table.render().as_bytes())
    }
}

/// Writes to stdout and flushes.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::io("writing to stdout", error))
}

/// Whether progress may be shown: on a terminal, and nobody asked for plain text.
pub(crate) fn may_animate() -> bool {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !plain && io::stdout().is_terminal() && io::stderr().is_terminal()
}
