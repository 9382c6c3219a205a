//! Noticing that nobody reads stdout any more, also while there is nothing to write.

use std::future::pending;
use std::os::fd::AsFd;
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

/// Waits until the reading end of the pipe that stdout is has been closed; for ever where it is no pipe.
pub(super) async fn closed() {
    // A second descriptor, only to be waited for: nothing is written by it, and its mode is left alone.
    let copy = std::io::stdout().as_fd().try_clone_to_owned();
    // A file cannot be waited for.
    let Ok(stdout) = copy.and_then(Sender::from_owned_fd_unchecked) else { return pending().await };
    loop {
        match stdout.ready(Interest::ERROR).await {
            Ok(ready) if ready.is_error() => return,
            Ok(_) => tokio::time::sleep(std::time::Duration::from_secs(1)).await,
            Err(_) => return pending().await,
        }
    }
}
