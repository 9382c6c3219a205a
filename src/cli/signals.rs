//! Ctrl-C, SIGTERM, and a terminal that was closed.

use pipectl::error::{Error, Kind, Result};
use std::future::Future;
use std::pin::pin;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// How a piece of work ended.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    /// By itself.
    Finished(T),
    /// By a signal; with the exit code of a process that a signal ended: 128 and its number.
    Signalled(u8),
}

/// The signals, taken from their default action.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Absent where it is ignored, as `nohup` arranges it: then it stays so.
    hangup: Option<Signal>,
}

impl Signals {
    /// Takes them over.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn new() -> Result<Self> {
        let take = |kind| {
            signal(kind).map_err(|error| Error::new(Kind::Unexpected, "could not listen for signals").because(error))
        };
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hangup: if hangup_is_ignored() { None } else { Some(take(SignalKind::hangup())?) },
        })
    }

    /// Waits for one of them; says the exit code that stands for it.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
            () = received(self.hangup.as_mut()) => 129,
        }
    }

    /// Does some work until a signal comes; it is dropped then.
    ///
    /// # Errors
    /// Those of the work.
    pub(crate) async fn until<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<Ended<T>> {
        tokio::select! {
            result = work => result.map(Ended::Finished),
            code = self.next() => Ok(Ended::Signalled(code)),
        }
    }

    /// Does some work; the first signal asks it to come to an end, the second drops it.
    ///
    /// # Errors
    /// Those of the work.
    pub(crate) async fn stop_first<T>(
        &mut self,
        work: impl Future<Output = Result<T>>,
        stop: &Notify,
    ) -> Result<Ended<T>> {
        let mut work = pin!(work);
        tokio::select! {
            result = &mut work => return result.map(Ended::Finished),
            _ = self.next() => stop.notify_one(),
        }
        self.until(work).await
    }
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether SIGHUP, the first signal, was set to be ignored by whoever started this process: the lowest bit of `SigIgn` in proc_pid_status(5). Where there is no
/// such file nothing is known, and it is taken over.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
