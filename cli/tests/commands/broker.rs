//! A broker that a test runs, and the commands it runs against it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// `caudal`, in an environment without settings of its own.
pub(crate) fn caudal(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_caudal"));
    command
        .args(arguments)
        .env_remove("CAUDAL_BROKERS")
        .env_remove("CAUDAL_LOG")
        .env_remove("XDG_CONFIG_HOME");
    command
}

/// A broker on a port of its own; it dies with this.
pub(crate) struct Broker {
    child: Child,
    address: String,
    pub(crate) ready: String,
    pub(crate) data: PathBuf,
}

impl Broker {
    /// Starts a broker and waits for its ready line.
    pub(crate) fn start(data: &Path) -> Broker {
        let data_dir = data.to_str().expect("a path in UTF-8");
        let mut child = caudal(&["serve", "--data-dir", data_dir, "--set", "grpc.listen=127.0.0.1:0"])
            .args(["--set", "peer.listen=127.0.0.1:0", "--set", "http.listen=127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the broker starts");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut ready).expect("a line");
        let address =
            ready.split(' ').find_map(|word| word.strip_prefix("grpc=")).expect("an address").to_owned();
        Broker { child, address, ready, data: data.to_owned() }
    }

    /// A command against this broker.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = caudal(arguments);
        command.env("CAUDAL_BROKERS", &self.address);
        command
    }

    /// Runs a command to its end with this input.
    pub(crate) fn run(&self, arguments: &[&str], stdin: &[u8]) -> Ran {
        run(self.command(arguments), stdin)
    }

    /// Runs a command that must succeed; answers with its stdout.
    pub(crate) fn ok(&self, arguments: &[&str], stdin: &[u8]) -> String {
        let ran = self.run(arguments, stdin);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran.stdout
    }

    /// Runs a command whose answer is one JSON document.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let mut all = arguments.to_vec();
        all.extend(["--output", "json"]);
        let text = self.run(&all, b"").stdout;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The address.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Stops it in order; answers with its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        signal(&self.child, Signal::TERM);
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends a signal to a child.
pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("the signal is sent");
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end with this input.
pub(crate) fn run(mut command: Command, stdin: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut pipe = child.stdin.take().expect("stdin is piped");
    let input = stdin.to_vec();
    // It may end before it has read everything.
    let writer = std::thread::spawn(move || drop(pipe.write_all(&input)));
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer ends");
    Ran {
        code: status.code().expect("an exit code"),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}
