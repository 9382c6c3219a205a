//! Bytes that nobody sent, for all that reads bytes of others: pgoutput, COPY, text and binary values, Debezium's JSON, Avro.
//!
//! From a seed, for a time (`FUZZ_SECONDS`, 10 unless said otherwise; `FUZZ_SEED` repeats a run), inputs are made of a corpus: what the readers are
//! used to see, built here or kept in `tests/fixtures`, and changed at random. An input whose answer nobody gave before joins the corpus. Whatever comes,
//! a reader must answer: no panic, no memory beyond a small multiple of what it was given, and soon.
//!
//! An input that fails is left in `target/fuzz`; it goes into `tests/fixtures/fuzz/<target>/` with what mends it, and is tried first from then on.
//! `make fuzz` runs it for longer.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on ends by panicking; clippy knows the test functions, not what they call"
)]

mod corpus;
mod memory;
mod mutate;
mod targets;

use mutate::Mutator;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use targets::{Read, TARGETS, Target};

/// Inputs are not longer; the corpus may be.
const LONGEST: usize = 64 << 10;
/// What a call may allocate at once, besides a multiple of its input.
const ALLOWED: usize = 8 << 20;
const ALLOWED_A_BYTE: usize = 256;
/// How long one call may take on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is tried now, for the watch: an endless loop cannot tell of itself.
struct Trial {
    number: AtomicU64,
    input: Mutex<(&'static str, Vec<u8>)>,
}

static TRIAL: Trial = Trial { number: AtomicU64::new(0), input: Mutex::new(("", Vec::new())) };

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Keeps an input that failed, and says where.
fn keep(target: &str, input: &[u8]) -> String {
    let folder = root().join("target/fuzz");
    fs::create_dir_all(&folder).expect("a folder for what failed");
    let name = input
        .iter()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3));
    let path = folder.join(format!("{target}-{name:016x}"));
    fs::write(&path, input).expect("the input that failed is written");
    path.display().to_string()
}

/// One call. Returns what it answered, as a number that stands for the answer.
fn attempt(target: &Target, input: &[u8]) -> u64 {
    TRIAL.number.fetch_add(1, Ordering::Relaxed);
    {
        let mut current = TRIAL.input.lock().unwrap();
        current.0 = target.name;
        current.1.clear();
        current.1.extend_from_slice(input);
    }
    memory::begin();
    let answered = catch_unwind(AssertUnwindSafe(|| (target.read)(input)));
    let most = memory::most();
    let failed = |what: &str| -> ! { panic!("{} {what}; the input is {}", target.name, keep(target.name, input)) };
    match answered {
        Ok(_) if most > ALLOWED + ALLOWED_A_BYTE * input.len() => {
            failed(&format!("allocated {most} bytes for {} bytes", input.len()))
        }
        Ok(answer) => answer,
        Err(_) => failed("panicked"),
    }
}

/// Tries one target until the time is over. Returns how many inputs there were, and how many answers.
fn fuzz(target: &Target, seed: u64, until: Instant) -> (u64, usize) {
    let mut corpus = corpus::of(target.name);
    assert!(!corpus.is_empty(), "{} has nothing to begin with", target.name);
    let mut answers: HashSet<u64> = corpus.iter().map(|input| attempt(target, input)).collect();
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut mutator = Mutator::new(target.words);
    let (mut tried, mut input) = (0, Vec::new());
    while tried < 200 || Instant::now() < until {
        let base = &corpus[rng.random_range(0..corpus.len())];
        let other = &corpus[rng.random_range(0..corpus.len())];
        mutator.change(base, other, &mut rng, &mut input);
        input.truncate(LONGEST);
        tried += 1;
        // The corpus stays small: a new answer counts only while it does.
        if answers.insert(attempt(target, &input)) && corpus.len() < 4_000 {
            corpus.push(input.clone());
        }
    }
    (tried, answers.len())
}

/// Ends the process where one call takes too long.
fn watch(done: &AtomicU64) {
    let (mut last, mut since) = (u64::MAX, Instant::now());
    while done.load(Ordering::Relaxed) == 0 {
        std::thread::sleep(Duration::from_millis(100));
        let number = TRIAL.number.load(Ordering::Relaxed);
        if number != last {
            (last, since) = (number, Instant::now());
        } else if since.elapsed() > PATIENCE {
            let current = TRIAL.input.lock().unwrap();
            eprintln!(
                "{} has not answered within {PATIENCE:?}; the input is {}",
                current.0,
                keep(current.0, &current.1)
            );
            std::process::abort();
        }
    }
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

#[test]
fn no_input_panics_grows_or_hangs() {
    let seconds = number_of("FUZZ_SECONDS").unwrap_or(10);
    let seed = number_of("FUZZ_SEED").unwrap_or_else(|| rand::rng().random());
    let only = std::env::var("FUZZ_TARGET").ok();
    let chosen: Vec<&Target> =
        TARGETS.iter().filter(|target| only.as_deref().is_none_or(|only| only == target.name)).collect();
    assert!(!chosen.is_empty(), "no target is named so: {only:?}");
    eprintln!("FUZZ_SEED={seed}");
    let done = AtomicU64::new(0);
    // A panic is told once, by the failed test; a thousand backtraces of what is caught would take all the time.
    let share = Duration::from_secs(seconds) / u32::try_from(chosen.len()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| watch(&done));
        // With the stack of the threads that it runs on in earnest.
        let worker = std::thread::Builder::new().stack_size(2 << 20);
        let worker = worker.spawn_scoped(scope, || {
            for target in chosen {
                let (tried, answers) = fuzz(target, seed, Instant::now() + share);
                eprintln!("{:<14} {tried:>9} inputs, {answers:>5} answers", target.name);
            }
        });
        let ended = worker.expect("a thread").join();
        done.store(1, Ordering::Relaxed);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
}

/// What this panics with, which is wanted, and not told. Other threads' is.
fn panics_with<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn std::any::Any + Send>> {
    let (tell, this) = (std::panic::take_hook(), std::thread::current().id());
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() != this {
            tell(panic);
        }
    }));
    let ended = catch_unwind(AssertUnwindSafe(work));
    drop(std::panic::take_hook());
    ended
}

/// Whether what is wrong with a reader is found: one that panics, one that asks for memory by a number that it read.
#[test]
fn a_wrong_reader_is_found() {
    let panics =
        |bytes: &[u8]| u64::from(bytes.windows(2).map(|pair| 100 / (pair[0] ^ pair[1] ^ 0xA5)).max().unwrap_or(0));
    let grows = |bytes: &[u8]| {
        let asked = bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)) as usize;
        Vec::<u8>::with_capacity(asked).capacity() as u64
    };
    let readers: [(Read, &str); 2] = [(panics, "panicked"), (grows, "allocated")];
    for (read, found) in readers {
        let target = Target { name: "pgoutput", read, words: &[] };
        let ended = panics_with(|| fuzz(&target, 7, Instant::now() + PATIENCE));
        let told = ended.expect_err("it was not found").downcast::<String>().expect("words");
        assert!(told.contains(found), "{told}");
        fs::remove_file(told.rsplit(' ').next().unwrap()).unwrap();
    }
}

#[test]
fn the_count_of_memory_sees_what_is_allocated() {
    memory::begin();
    let before = memory::most();
    let bytes = vec![1_u8; 3 << 20];
    assert!(memory::most() - before >= 3 << 20);
    drop(bytes);
    memory::begin();
    assert!(memory::most() < 1 << 20, "what was freed does not count");
}
