//! Waiting for a table that another session has locked, by `ALTER TABLE`, `TRUNCATE` or `LOCK`: it is told after a while, and ends with the process.
//!
//! A session that waits for a lock answers nothing, and does not notice that its client has gone: whom it waits for is asked through another one, and
//! its statement is cancelled there.

use crate::config::PostgresSettings;
use crate::error::Result;
use crate::server::postgres::{Connection, connect, server_error};
use crate::sync::Progress;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const BLOCKERS: &str = include_str!("../../sql/postgres/lock_blockers.sql");
const CANCEL: &str = include_str!("../../sql/postgres/cancel_statement.sql");

/// How long a wait may be before it is told.
const SOON: Duration = Duration::from_secs(3);
/// How often it is told then.
const AGAIN: Duration = Duration::from_secs(10);
/// How long one telling keeps others silent: several that wait look at slightly different times.
const BETWEEN: Duration = Duration::from_secs(7);
/// How often it is looked for while the process is to stop.
const STOPPING: Duration = Duration::from_millis(200);

/// When each session that is in the way was told of last. Clones share it, so that of several that wait for one only the first tells.
#[derive(Debug, Clone, Default)]
pub(super) struct Told(Arc<Mutex<BTreeMap<i32, Instant>>>);

impl Told {
    /// Whether a session is to be told of now.
    fn is_due(&self, pid: i32) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told.get(&pid).is_none_or(|last| last.elapsed() >= BETWEEN);
        if is_due {
            told.insert(pid, Instant::now());
        }
        is_due
    }
}

/// A session that asks for locks.
pub(super) struct Waits {
    settings: PostgresSettings,
    pid: i32,
    progress: Arc<Progress>,
    stop: watch::Receiver<bool>,
    told: Told,
}

impl Waits {
    /// Of the session with this process at the server.
    pub(super) fn of(
        pid: i32,
        settings: &PostgresSettings,
        (progress, stop): (&Arc<Progress>, &watch::Receiver<bool>),
    ) -> Self {
        Self {
            settings: settings.clone(),
            pid,
            progress: Arc::clone(progress),
            stop: stop.clone(),
            told: Told::default(),
        }
    }

    /// The same, as one of several.
    pub(super) fn among(self, told: &Told) -> Self {
        Self { told: told.clone(), ..self }
    }

    /// Does some work in the session. Where it waits for a lock when the process is to stop, it fails.
    ///
    /// # Errors
    /// Those of the work.
    pub(super) async fn told<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            result = work => result,
            never = self.keep_looking() => match never {},
        }
    }

    async fn keep_looking(&self) -> Infallible {
        let (mut stop, mut pause, mut session) = (self.stop.clone(), SOON, None);
        loop {
            let stopping = *stop.borrow();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop), if !stopping => {}
            }
            let stopping = *stop.borrow();
            if let Err(error) = self.look(&mut session, stopping).await {
                tracing::debug!(%error, "could not ask whom the session waits for");
                session = None;
            }
            pause = if stopping { STOPPING } else { AGAIN };
        }
    }

    async fn look(&self, session: &mut Option<Connection>, stopping: bool) -> Result<()> {
        let session = match session {
            Some(session) => session,
            None => session.insert(connect(&self.settings).await?),
        };
        let rows = session
            .query(BLOCKERS, &[&self.pid])
            .await
            .map_err(|error| server_error("could not ask whom a session waits for", error))?;
        if rows.is_empty() {
            return Ok(());
        }
        if stopping {
            let cancelled = session.execute(CANCEL, &[&self.pid]).await;
            return cancelled.map(drop).map_err(|error| server_error("could not cancel what waits", error));
        }
        for row in &rows {
            let blocker = Blocker { pid: row.get(0), seconds: row.get(1), statement: row.get(2), idle: row.get(3) };
            if self.told.is_due(blocker.pid) {
                self.progress.note(blocker.told());
            }
        }
        Ok(())
    }
}

/// Whoever has the lock, or waits for it in front of us. What another role's session does may not be visible.
struct Blocker {
    pid: i32,
    seconds: Option<i64>,
    statement: Option<String>,
    idle: Option<bool>,
}

impl Blocker {
    fn told(&self) -> String {
        if self.pid == 0 {
            return "waiting for a table that a prepared transaction has locked; COMMIT PREPARED or ROLLBACK PREPARED ends it (pg_prepared_xacts)"
                .to_owned();
        }
        let Self { pid, seconds, statement, idle } = self;
        let since = seconds.map_or(String::new(), |seconds| format!(", open for {seconds} s"));
        let what = statement.as_ref().map_or(String::new(), |statement| {
            if *idle == Some(true) { format!(", idle after {statement}") } else { format!(", in {statement}") }
        });
        format!(
            "waiting for a table that pid {pid} has locked{since}{what}; this goes on once it commits, or end it: SELECT pg_terminate_backend({pid})"
        )
    }
}
