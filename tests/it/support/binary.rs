//! The binary in a test: with nothing of the caller's environment but what the test gives it.

use super::{Directory, PATIENCE};
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A call of the binary that is being put together.
pub(crate) struct Invocation {
    command: Command,
}

/// What a call came to.
pub(crate) struct Outcome {
    /// The exit code; none where a signal ended it.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, stdout, stderr } = self;
        write!(f, "status {status:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

impl Outcome {
    /// Expects that it was refused with this exit code, in these words and with a hint.
    pub(crate) fn refused(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, Some(status), "{self}");
        for word in words.iter().chain(&["hint: "]) {
            assert!(self.stderr.contains(word), "no \"{word}\": {self}");
        }
    }
}

impl Invocation {
    /// The binary with arguments in a directory; its environment holds PATH and HOME alone.
    pub(crate) fn new(directory: &Directory, arguments: &[&str]) -> Self {
        let mut command = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_pipectl")));
        command.args(arguments).current_dir(&directory.0).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in ["PATH", "HOME"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        Self { command }
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes a variable away.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Starts it the way `nohup` does: a closed terminal is nothing to it.
    pub(crate) fn ignoring_hangup(self) -> Self {
        self.through("sh", &["-c", "trap '' HUP; exec \"$0\" \"$@\""])
    }

    /// Starts it as a terminal does, also where these tests themselves were started by `nohup`.
    pub(crate) fn minding_hangup(self) -> Self {
        self.through("env", &["--default-signal=HUP"])
    }

    /// Starts it through a program that becomes it.
    fn through(self, program: &str, arguments: &[&str]) -> Self {
        let mut outer = Command::new(program);
        outer.args(arguments).arg(self.command.get_program()).args(self.command.get_args()).env_clear();
        outer.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(directory) = self.command.get_current_dir() {
            outer.current_dir(directory);
        }
        outer.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command: outer }
    }

    /// With a stdout whose reader has gone.
    pub(crate) fn closed_stdout(mut self) -> Self {
        let (_, writer) = std::io::pipe().expect("a pipe");
        self.command.stdout(writer);
        self
    }

    /// Runs it to its end; fails the test where that takes too long.
    pub(crate) fn run(self) -> Outcome {
        self.spawn().ended()
    }

    /// Starts it and lets it run.
    pub(crate) fn spawn(mut self) -> Running {
        let mut child = self.command.spawn().expect("the binary starts");
        let stdout = child.stdout.take();
        let stderr = child.stderr.take().expect("stderr is piped");
        let stdout = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.map(|mut stdout| stdout.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let told: Told = Arc::default();
        let writer = Arc::clone(&told);
        let stderr = std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                lines(&writer).lines.push(String::from_utf8_lossy(&line).into_owned());
                writer.1.notify_all();
            }
            lines(&writer).ended = true;
            writer.1.notify_all();
        });
        Running { child, stdout: Some(stdout), stderr: Some(stderr), told, read: 0 }
    }
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

type Told = Arc<(Mutex<Lines>, Condvar)>;

/// What was told so far. A test that failed while it looked has spoiled nothing of it.
fn lines(told: &Told) -> MutexGuard<'_, Lines> {
    told.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The binary while it runs; it is killed where the test ends before it.
pub(crate) struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<()>>,
    told: Told,
    read: usize,
}

impl Running {
    /// Waits for a line on stderr that contains a text, after those that were waited for before; fails the test where it does not
    /// come, or the process ends first.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut told = lines(&self.told);
        loop {
            while let Some(line) = told.lines.get(self.read) {
                self.read += 1;
                if line.contains(text) {
                    return line.clone();
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!told.ended && !left.is_zero(), "no \"{text}\" on stderr:\n{}", told.lines.join("\n"));
            told = self.told.1.wait_timeout(told, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What it has said on stderr so far.
    pub(crate) fn told(&self) -> String {
        lines(&self.told).lines.join("\n")
    }

    /// Sends a signal by its name, such as TERM or KILL.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "could not send {name}");
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the process can be waited for").is_some()
    }

    /// The process' id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The same, where more than the usual patience may be needed.
    pub(crate) fn finish(self, timeout: Duration) -> Outcome {
        self.ended_within(timeout.max(PATIENCE))
    }

    /// Waits for its end; fails the test where it does not come.
    pub(crate) fn ended(self) -> Outcome {
        self.ended_within(PATIENCE)
    }

    /// The same, with its largest resident size in KiB, as far as looking at it every few milliseconds tells.
    pub(crate) fn ended_with_peak(self) -> (Outcome, u64) {
        let status = format!("/proc/{}/status", self.pid());
        let watcher = std::thread::spawn(move || {
            let mut peak = 0;
            while let Ok(text) = std::fs::read_to_string(&status) {
                let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                let Some(size) = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()) else {
                    break;
                };
                peak = peak.max(size);
                std::thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        let outcome = self.ended();
        (outcome, watcher.join().unwrap())
    }

    fn ended_within(mut self, timeout: Duration) -> Outcome {
        let deadline = Instant::now() + timeout;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the process can be waited for") {
                break status;
            }
            if Instant::now() > deadline {
                let lines = lines(&self.told).lines.join("\n");
                panic!("still running after {timeout:?}; its stderr:\n{lines}");
            }
            std::thread::sleep(super::PAUSE);
        };
        let stdout = self.stdout.take().map(|reader| reader.join().unwrap()).unwrap_or_default();
        if let Some(reader) = self.stderr.take() {
            reader.join().unwrap();
        }
        let stderr = lines(&self.told).lines.join("\n");
        Outcome { status: status.code(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
