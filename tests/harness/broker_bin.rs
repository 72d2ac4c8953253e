//! A broker as a process of its own: `caudal serve` on port 0 over a folder, to start, kill and stop.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How long a broker may take to say that it is ready. Far above what it needs: it bounds a hanging test.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// The `caudal` binary under test: `CAUDAL_BIN`, else the one that Cargo built beside the running test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CAUDAL_BIN") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test.parent().and_then(Path::parent).expect("tests lie in target/PROFILE/deps");
    profile.join("caudal-under-test")
}

/// Runs a command line of `caudal` against the broker at `address`, with `stdin`, to its end.
pub fn caudal(address: &str, arguments: &[&str], stdin: &[u8]) -> io::Result<std::process::Output> {
    let mut child = Command::new(binary())
        .args(arguments)
        .env("CAUDAL_BROKERS", address)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut pipe = child.stdin.take().expect("stdin is piped");
    let bytes = stdin.to_vec();
    // On a thread: a command that prints before it has read all would block on its own pipe.
    let writer = std::thread::spawn(move || match io::Write::write_all(&mut pipe, &bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    });
    let output = child.wait_with_output()?;
    writer.join().expect("writing to a pipe does not panic")?;
    Ok(output)
}

/// A broker that runs. Dropping it kills it.
pub struct Broker {
    child: Child,
    data: PathBuf,
    settings: Vec<OsString>,
    ready: BTreeMap<String, String>,
}

impl Broker {
    /// Starts a broker over `data` on a port of the system's choice and waits until it takes requests. `settings`
    /// are `key=value` of its configuration. What it logs is appended to `broker.log` beside the folder.
    pub fn start(data: &Path, settings: &[&str]) -> io::Result<Broker> {
        let settings: Vec<OsString> = settings.iter().map(OsString::from).collect();
        let (child, ready) = launch(data, &settings, "127.0.0.1:0")?;
        Ok(Broker { child, data: data.to_owned(), settings, ready })
    }

    /// HOST:PORT of its gRPC listener.
    pub fn address(&self) -> &str {
        self.ready.get("grpc").map_or("", String::as_str)
    }

    /// `http://HOST:PORT` of its gRPC listener.
    pub fn uri(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A field of the line it printed when it was ready: `grpc`, `node`, `cluster`, …
    pub fn ready(&self, field: &str) -> Option<&str> {
        self.ready.get(field).map(String::as_str)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The bytes of memory that are its own: without mapped files. 0 when it is gone.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kibibytes = anonymous.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kibibytes.map_or(0, |n| n * 1024)
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// `kill -9`, and waits until it is gone. The page cache stays: this is a crash of the process, not of the power.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Asks it to stop in order (SIGTERM) and waits for the end.
    pub fn stop(mut self) -> io::Result<ExitStatus> {
        self.terminate()?;
        self.child.wait()
    }

    /// Sends SIGTERM and does not wait.
    pub fn terminate(&self) -> io::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        Ok(rustix::process::kill_process(pid, rustix::process::Signal::TERM)?)
    }

    /// SIGSTOP: it hears and does nothing.
    pub fn pause(&self) -> io::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        Ok(rustix::process::kill_process(pid, rustix::process::Signal::STOP)?)
    }

    /// SIGCONT: it goes on where it stood.
    pub fn go_on(&self) -> io::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        Ok(rustix::process::kill_process(pid, rustix::process::Signal::CONT)?)
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Starts it again on the same folder and the same port, after it ended or was killed.
    pub fn restart(&mut self) -> io::Result<()> {
        let address = self.address().to_owned();
        (self.child, self.ready) = launch(&self.data, &self.settings, &address)?;
        Ok(())
    }

    /// Starts it and kills it after a while, ready or not. Then [`restart`](Broker::restart).
    #[expect(clippy::disallowed_methods, reason = "the moment of the kill is the test's to choose")]
    pub fn restart_and_kill(&mut self, after: Duration) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(log_path(&self.data))?;
        self.child =
            serve(&self.data, &self.settings, self.address()).stdout(Stdio::null()).stderr(log).spawn()?;
        std::thread::sleep(after);
        self.kill()?;
        Ok(())
    }

    /// What it has logged, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(&self.data)).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already; then both fail and nothing is left to do.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn log_path(data: &Path) -> PathBuf {
    data.with_extension("log")
}

/// A `caudal serve` over `data` as a command that has not started.
pub fn serve(data: &Path, settings: &[OsString], address: &str) -> Command {
    let mut command = Command::new(binary());
    command.arg("serve").arg("--data-dir").arg(data).arg("--set").arg(format!("grpc.listen={address}"));
    for listener in ["peer.listen", "http.listen"] {
        command.arg("--set").arg(format!("{listener}=127.0.0.1:0"));
    }
    for setting in settings {
        command.arg("--set").arg(setting);
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn launch(
    data: &Path,
    settings: &[OsString],
    address: &str,
) -> io::Result<(Child, BTreeMap<String, String>)> {
    let log = File::options().create(true).append(true).open(log_path(data))?;
    let mut child = serve(data, settings, address).stdout(Stdio::piped()).stderr(log).spawn()?;
    let stdout = child.stdout.take().expect("stdout is piped");
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        // The test may have given up on it.
        let _nobody = tell.send(read.map(|_| line));
    });
    let line = match told.recv_timeout(READY_TIMEOUT) {
        Ok(line) => line?,
        Err(RecvTimeoutError::Timeout) => String::from("nothing in time"),
        Err(RecvTimeoutError::Disconnected) => String::from("nothing"),
    };
    match ready_fields(&line) {
        Some(fields) => Ok((child, fields)),
        None => {
            let _gone = child.kill();
            let status = child.wait()?;
            let log = std::fs::read_to_string(log_path(data)).unwrap_or_default();
            Err(io::Error::other(format!("the broker said {line:?}, then {status}; its log:\n{log}")))
        }
    }
}

/// The fields of a line `ready key=value …`.
fn ready_fields(line: &str) -> Option<BTreeMap<String, String>> {
    let fields = line.trim_end().strip_prefix("ready ")?.split(' ').filter_map(|field| field.split_once('='));
    let fields: BTreeMap<String, String> = fields.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    fields.contains_key("grpc").then_some(fields)
}

#[test]
fn the_ready_line() {
    let fields = ready_fields("ready grpc=127.0.0.1:7171 peer=a:1 node=1 cluster=x\n").unwrap();
    assert_eq!(fields["grpc"], "127.0.0.1:7171");
    assert_eq!(fields["node"], "1");
    assert_eq!(ready_fields("ready node=1"), None);
    assert_eq!(ready_fields(""), None);
}
