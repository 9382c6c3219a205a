//! A TCP proxy that can hold back what goes through it, and cut it.

use super::PATIENCE;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

/// Forwards connections to a server of the loopback until it is told otherwise.
pub(crate) struct Proxy {
    port: u16,
    server: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Both ends of each connection. One that has ended is not kept: a socket that is held open without being read makes its peer wait for ever.
    open: Mutex<BTreeMap<u32, [TcpStream; 2]>>,
    count: AtomicU32,
    /// Answers that are still to be lost, each with its connection.
    losses: AtomicU32,
    /// Whether what comes is held back.
    hung: AtomicBool,
    /// Pieces that were held back.
    held: AtomicU32,
    gate: Mutex<Gate>,
    moved: Condvar,
    /// Whether the answer to a request that was held back has been lost.
    lost: AtomicBool,
}

/// What of the clients' is held back until it is let go.
#[derive(Default)]
struct Gate {
    /// A piece with all of these texts in it; where there are none, the gate is open.
    texts: Vec<String>,
    /// How many such pieces go through before.
    skipped: u32,
    /// How much of a connection goes through from such a piece on.
    within: usize,
    /// What has been held back since it was closed.
    held: Vec<Vec<u8>>,
    /// How often it was opened, and what is done then with what waits.
    opened: u32,
    verdict: Verdict,
}

/// What becomes of a request that was held back.
#[derive(Debug, Clone, Default)]
pub(crate) enum Verdict {
    /// It goes on.
    #[default]
    Pass,
    /// It never arrives; its connection is cut.
    Drop,
    /// It arrives, but not what the server says to it; its connection is cut.
    LoseAnswer,
    /// It never arrives; this is the answer.
    Refuse(Vec<u8>),
}

impl Proxy {
    /// In front of the server of a URL with a port in it.
    pub(crate) fn to(url: &str) -> Self {
        let server = port_of(url).parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), server, shared: Arc::default() };
        let shared = Arc::clone(&proxy.shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(upstream) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                shared.forward(&client, &upstream);
            }
        });
        proxy
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The URL with the proxy in the server's place.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replacen(&format!(":{}", self.server), &format!(":{}", self.port), 1)
    }

    /// The same for Postgres, without TLS: what passes can be read.
    pub(crate) fn plain_url(&self, url: &str) -> String {
        format!("{}?sslmode=disable", self.url(url))
    }

    /// Cuts every connection; says how many there were.
    pub(crate) fn cut(&self) -> usize {
        let open = std::mem::take(&mut *self.shared.open.lock().unwrap());
        open.values().flatten().filter(|stream| stream.shutdown(Shutdown::Both).is_ok()).count()
    }

    /// Swallows the next answers of the server, and cuts the connection instead.
    pub(crate) fn lose_answers(&self, count: u32) {
        self.shared.losses.store(count, Ordering::SeqCst);
    }

    /// Lets nothing through any more, in either direction, and cuts nothing.
    pub(crate) fn hang(&self) {
        self.shared.hung.store(true, Ordering::SeqCst);
    }

    /// Whether somebody waits for what is held back.
    pub(crate) fn holds(&self) -> bool {
        self.shared.held.load(Ordering::SeqCst) > 0
    }

    /// Holds back the next request with all of these texts in it, and those of the kind that follow, until it is let go: whoever sends it stands
    /// exactly there.
    pub(crate) fn hold(&self, texts: &[&str]) {
        self.hold_behind(0, texts);
    }

    /// The same, once so many of the kind have gone through.
    pub(crate) fn hold_behind(&self, count: u32, texts: &[&str]) {
        let mut gate = self.shared.gate.lock().unwrap();
        gate.texts = texts.iter().map(|text| (*text).to_owned()).collect();
        (gate.skipped, gate.within, gate.held) = (count, 0, Vec::new());
    }

    /// Holds a request back in its middle, once more than so many bytes of it have gone through.
    pub(crate) fn hold_within(&self, texts: &[&str], bytes: usize) {
        self.hold(texts);
        self.shared.gate.lock().unwrap().within = bytes;
    }

    /// Goes on holding back what has all of these texts in it; what else waits goes on.
    pub(crate) fn hold_only(&self, texts: &[&str]) {
        self.shared.gate.lock().unwrap().texts = texts.iter().map(|text| (*text).to_owned()).collect();
        self.shared.moved.notify_all();
    }

    /// How much was held back since.
    pub(crate) fn held_back(&self) -> usize {
        self.shared.gate.lock().unwrap().held.len()
    }

    /// Waits until something is held back; fails the test where that does not happen.
    pub(crate) fn wait_until_held(&self) {
        self.wait_until_held_are(|held| !held.is_empty());
    }

    /// The same of several at once, one with each of these texts in it.
    pub(crate) fn wait_until_all_held(&self, texts: &[&str]) {
        self.wait_until_held_are(|held| texts.iter().all(|text| held.iter().any(|piece| has(piece, text))));
    }

    fn wait_until_held_are(&self, wanted: impl Fn(&[Vec<u8>]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut gate = self.shared.gate.lock().unwrap();
        while !wanted(&gate.held) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "of requests with {:?} {} came by", gate.texts, gate.held.len());
            gate = self.shared.moved.wait_timeout(gate, left).unwrap().0;
        }
    }

    /// Lets go what is held back, and all that follows.
    pub(crate) fn release(&self) {
        self.release_with(Verdict::Pass);
    }

    /// Does this with what is held back, and lets all go that follows; fails the test where nothing is.
    pub(crate) fn release_with(&self, verdict: Verdict) {
        let mut gate = self.shared.gate.lock().unwrap();
        assert!(!gate.held.is_empty(), "nothing is held back: {:?}", gate.texts);
        gate.texts.clear();
        gate.opened += 1;
        gate.verdict = verdict;
        self.shared.moved.notify_all();
    }

    /// Whether the answer to a request that was held back has been lost.
    pub(crate) fn lost_an_answer(&self) -> bool {
        self.shared.lost.load(Ordering::SeqCst)
    }

    /// Answers that are still to be lost.
    pub(crate) fn losses_left(&self) -> u32 {
        self.shared.losses.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn forward(self: &Arc<Self>, client: &TcpStream, upstream: &TcpStream) {
        let copies = |stream: &TcpStream| stream.try_clone().unwrap();
        let id = self.count.fetch_add(1, Ordering::SeqCst);
        self.open.lock().unwrap().insert(id, [copies(client), copies(upstream)]);
        let swallows = Arc::new(AtomicBool::new(false));
        for (from, to, answers) in [(client, upstream, false), (upstream, client, true)] {
            let (mut from, mut to, shared) = (copies(from), copies(to), Arc::clone(self));
            let swallows = Arc::clone(&swallows);
            std::thread::spawn(move || {
                if answers {
                    shared.carry_answers(&mut from, &mut to, &swallows);
                } else {
                    shared.carry_requests(&mut from, &mut to, &swallows);
                }
                from.shutdown(Shutdown::Both).ok();
                to.shutdown(Shutdown::Both).ok();
                shared.open.lock().unwrap().remove(&id);
            });
        }
    }

    fn carry_answers(&self, server: &mut TcpStream, client: &mut TcpStream, swallows: &AtomicBool) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = server.read(&mut buffer) {
            self.hang();
            if swallows.load(Ordering::SeqCst) {
                self.lost.store(true, Ordering::SeqCst);
                return;
            }
            let left = self.losses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if left.is_ok() || client.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    }

    fn carry_requests(&self, client: &mut TcpStream, server: &mut TcpStream, swallows: &AtomicBool) {
        let mut buffer = vec![0; 1 << 16];
        let mut begun = None;
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            self.hang();
            match self.pass(&buffer[..count], &mut begun) {
                Verdict::Pass => {}
                Verdict::LoseAnswer => swallows.store(true, Ordering::SeqCst),
                Verdict::Drop => return,
                Verdict::Refuse(answer) => {
                    client.write_all(&answer).ok();
                    client.shutdown(Shutdown::Write).ok();
                    // Closed with something unread in it, the connection would be reset before the answer is read.
                    while let Ok(1..) = client.read(&mut buffer) {}
                    return;
                }
            }
            if server.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    }

    /// Stops here for as long as the process of the tests, once that is wanted.
    fn hang(&self) {
        if self.hung.load(Ordering::SeqCst) {
            self.held.fetch_add(1, Ordering::SeqCst);
            std::thread::park();
        }
    }

    /// Waits while the gate is closed to a piece; what becomes of it then. What was begun is how much has come of a request that is held in its middle.
    fn pass(&self, piece: &[u8], begun: &mut Option<usize>) -> Verdict {
        let mut gate = self.gate.lock().unwrap();
        if !gate.stops(piece, begun) {
            return Verdict::Pass;
        }
        gate.held.push(piece.to_vec());
        self.moved.notify_all();
        let opened = gate.opened;
        while gate.opened == opened {
            gate = self.moved.wait(gate).unwrap();
            // Of one that is held in its middle a later piece does not have the texts.
            if gate.opened == opened && begun.is_none() && !gate.is_closed_to(piece) {
                return Verdict::Pass;
            }
        }
        gate.verdict.clone()
    }
}

impl Gate {
    fn is_closed_to(&self, piece: &[u8]) -> bool {
        !self.texts.is_empty() && self.texts.iter().all(|text| has(piece, text))
    }

    fn stops(&mut self, piece: &[u8], begun: &mut Option<usize>) -> bool {
        let is_closed = self.is_closed_to(piece);
        if self.within > 0 && !self.texts.is_empty() {
            if is_closed || begun.is_some() {
                *begun = Some(begun.unwrap_or_default() + piece.len());
            }
            return begun.is_some_and(|bytes| bytes > self.within);
        }
        if is_closed && self.skipped > 0 {
            self.skipped -= 1;
            return false;
        }
        is_closed
    }
}

fn has(piece: &[u8], text: &str) -> bool {
    piece.windows(text.len()).any(|window| window == text.as_bytes())
}

fn port_of(url: &str) -> &str {
    let server = url.rsplit_once('@').map_or(url, |(_, server)| server);
    let (_, port) = server.split_once(':').expect("a port in the URL");
    port.split('/').next().unwrap_or(port)
}
