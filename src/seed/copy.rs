//! Ready bytes into COPY. One thread makes rows while the server takes those before them; a short channel lies between, so that
//! memory stays bounded.

use crate::error::{Error, Kind, Result};
use crate::server::postgres::{Connection, server_error};
use bytes::Bytes;
use futures_util::SinkExt;
use std::pin::pin;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_postgres::error::SqlState;

/// Bytes that travel together: large enough that the cost of a message does not count.
pub(super) const PIECE_BYTES: usize = 128 << 10;
/// Rows of one COPY. Postgres checks foreign keys when it ends, and keeps 10 bytes or more of each row and key until then.
pub(super) const COPY_ROWS: u64 = 50_000;
const PIECES_AHEAD: usize = 64;

/// What the generating thread hands over.
#[derive(Debug)]
pub(super) enum Piece {
    /// A COPY into a table begins.
    Begin(Target),
    /// Bytes of its stream, with the rows that end in them.
    Data(Bytes, u64),
    /// It is whole.
    End,
}

/// Where a COPY goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The table's name, for messages.
    pub(super) table: std::sync::Arc<str>,
    /// The COPY statement.
    pub(super) statement: std::sync::Arc<str>,
}

/// Nobody takes the pieces any more: the writer failed or was given up. The thread only has to end.
#[derive(Debug)]
pub(super) struct Abandoned;

/// The thread's end of the channel.
#[derive(Debug)]
pub(super) struct Pieces(Sender<Piece>);

impl Pieces {
    /// Hands a piece over; waits while the writer is behind.
    pub(super) fn hand_over(&self, piece: Piece) -> Result<(), Abandoned> {
        self.0.blocking_send(piece).map_err(|_| Abandoned)
    }
}

/// Runs `generate` on a thread and writes what it hands over, in its order. `written` is told of each table's rows as
/// they are sent, and of none where a COPY begins and where it is done.
///
/// # Errors
/// [`Kind::Source`] where the server refuses a row; the COPY it belongs to leaves none then.
pub(super) async fn load<G>(connection: &Connection, generate: G, mut written: impl FnMut(&str, u64)) -> Result<()>
where
    G: FnOnce(&Pieces) -> Result<(), Abandoned> + Send + 'static,
{
    let (sender, mut pieces) = channel(PIECES_AHEAD);
    let generator = tokio::task::spawn_blocking(move || generate(&Pieces(sender)));
    while let Some(piece) = pieces.recv().await {
        if let Piece::Begin(target) = piece {
            copy(connection, &target, &mut pieces, &mut written).await?;
        }
    }
    match generator.await {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::new(Kind::Unexpected, "could not make up rows").because(error)),
    }
}

async fn copy(
    connection: &Connection,
    target: &Target,
    pieces: &mut Receiver<Piece>,
    written: &mut impl FnMut(&str, u64),
) -> Result<()> {
    let refused = |error| refused(&target.table, error);
    written(&target.table, 0);
    let mut sink = pin!(connection.copy_in::<_, Bytes>(&*target.statement).await.map_err(refused)?);
    while let Some(Piece::Data(bytes, rows)) = pieces.recv().await {
        sink.send(bytes).await.map_err(refused)?;
        written(&target.table, rows);
    }
    sink.finish().await.map_err(refused)?;
    written(&target.table, 0);
    Ok(())
}

/// Says what the server said, which names the constraint, and what can be done about it.
fn refused(table: &str, error: tokio_postgres::Error) -> Error {
    let hint = match error.code() {
        Some(code) if *code == SqlState::CHECK_VIOLATION => {
            "made-up values cannot know what a CHECK constraint or a partition asks for: leave it off meanwhile, or fill the table otherwise"
        }
        Some(code) if *code == SqlState::UNIQUE_VIOLATION => "another `--random-seed` makes other values",
        _ => return server_error(&format!("could not write rows into {table}"), error),
    };
    server_error(&format!("could not write rows into {table}"), error).hint(hint)
}
