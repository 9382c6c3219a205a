//! `pipectl tail`.

mod args;
mod closed;
mod overview;
mod view;

use super::Context;
use super::signals::Signals;
use args::Source;
use pipectl::error::{Error, Kind, Result};
use pipectl::tail::{Batch, Follow, PostgresTail, Tables};
use std::pin::pin;
use std::process::ExitCode;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use view::View;

pub(crate) use args::Args;

/// Batches between the thread that reads and the one that prints.
const WAITING: usize = 4;

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode> {
    args.check_source()?;
    if args.topics {
        return overview::topics(&args, context).await;
    }
    if args.groups {
        return overview::groups(&args, context).await;
    }
    let mut signals = Signals::new()?;
    let mut view = View::new(&args, context);
    let signalled = match args.source {
        Source::Kafka => from_kafka(&args, context, &mut view, &mut signals).await?,
        Source::Postgres => from_postgres(&args, context, &mut view, &mut signals).await?,
    };
    view.summary();
    Ok(match signalled {
        // What would have gone on for ever has ended as it was meant to.
        Some(code) if args.ends() => ExitCode::from(code),
        _ => ExitCode::SUCCESS,
    })
}

/// Shows what a thread reads; says the exit code of the signal that ended it.
async fn from_kafka(args: &Args, context: &Context, view: &mut View<'_>, signals: &mut Signals) -> Result<Option<u8>> {
    let settings = args.kafka(context)?;
    let (plan, wanted) = (args.plan(&settings)?, (args.wanted()?, args.raw));
    let (send, mut batches) = mpsc::channel::<Result<Batch>>(WAITING);
    let handle = Handle::current();
    let read = move || {
        let mut follow = match Follow::open(&settings, plan, wanted, handle) {
            Ok(follow) => follow,
            Err(error) => return drop(send.blocking_send(Err(error))),
        };
        while let Some(batch) = follow.read().transpose() {
            let failed = batch.is_err();
            if send.blocking_send(batch).is_err() || failed {
                return;
            }
        }
    };
    // A thread of its own: the runtime would wait for a blocking task of its own before the process could end.
    std::thread::Builder::new()
        .name("tail".to_owned())
        .spawn(read)
        .map_err(|error| Error::new(Kind::Unexpected, "could not start a thread").because(error))?;
    let mut closed = pin!(closed::closed());
    loop {
        tokio::select! {
            batch = batches.recv() => match batch {
                Some(batch) => if view.show(&batch?)? { return Ok(None) },
                None => return Ok(None),
            },
            code = signals.next() => return Ok(Some(code)),
            () = &mut closed => return Ok(None),
        }
    }
}

async fn from_postgres(
    args: &Args,
    context: &Context,
    view: &mut View<'_>,
    signals: &mut Signals,
) -> Result<Option<u8>> {
    let settings = context.postgres()?;
    let what = (Tables::new(&args.names)?, args.wanted()?);
    let tell = |text: &str| context.output.message(text);
    let open = PostgresTail::open(&settings, args.publication.as_deref(), what, &tell);
    let mut tail = tokio::select! {
        tail = open => tail?,
        code = signals.next() => return Ok(Some(code)),
    };
    context.output.message("showing what is committed from now on");
    let mut closed = pin!(closed::closed());
    let ended = loop {
        tokio::select! {
            batch = tail.next() => match batch.and_then(|batch| view.show(&batch)) {
                Ok(false) => {}
                Ok(true) => break Ok(None),
                Err(error) => break Err(error),
            },
            code = signals.next() => break Ok(Some(code)),
            () = &mut closed => break Ok(None),
        }
    };
    tail.close().await;
    ended
}
