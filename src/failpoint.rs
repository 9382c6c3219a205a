//! Named faults for tests, empty unless the feature `failpoints` is on: places where the process dies, and values that are stored wrongly, which
//! `verify` has to find. The names stand in `PIPECTL_FAILPOINTS`, separated by commas.

/// Whether the fault of this name is wanted.
#[cfg(feature = "failpoints")]
pub(crate) fn wanted(name: &str) -> bool {
    static NAMES: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    let read = || std::env::var("PIPECTL_FAILPOINTS").unwrap_or_default().split(',').map(str::to_owned).collect();
    NAMES.get_or_init(read).iter().any(|wanted| wanted == name)
}

/// Whether the fault of this name is wanted: never, in a build without the feature.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
#[expect(clippy::inline_always, reason = "a call on the hot path that has to vanish")]
pub(crate) fn wanted(_name: &str) -> bool {
    false
}

/// Whether the fault of this name is wanted and has not happened yet.
pub(crate) fn once(name: &str) -> bool {
    static HAPPENED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    wanted(name) && !HAPPENED.swap(true, std::sync::atomic::Ordering::Relaxed)
}

/// Dies as if killed where the fault of this name is wanted.
pub(crate) fn die(name: &str) {
    if wanted(name) {
        tracing::error!(name, "failpoint");
        std::process::abort();
    }
}
