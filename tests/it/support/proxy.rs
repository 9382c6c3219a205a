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
}

/// What of the clients' is held back until it is let go.
#[derive(Default)]
struct Gate {
    /// A piece with all of these texts in it; where there are none, the gate is open.
    texts: Vec<String>,
    /// How many pieces wait now.
    waiting: u32,
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

    /// Holds back the next request with all of these texts in it, and those of the kind that follow, until [`Proxy::release`]: whoever sends it stands
    /// exactly there.
    pub(crate) fn hold(&self, texts: &[&str]) {
        self.shared.gate.lock().unwrap().texts = texts.iter().map(|text| (*text).to_owned()).collect();
    }

    /// Waits until something is held back; fails the test where that does not happen.
    pub(crate) fn wait_until_held(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut gate = self.shared.gate.lock().unwrap();
        while gate.waiting == 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no request with {:?} came by", gate.texts);
            gate = self.shared.moved.wait_timeout(gate, left).unwrap().0;
        }
    }

    /// Lets go what [`Proxy::hold`] holds back, and all that follows.
    pub(crate) fn release(&self) {
        self.shared.gate.lock().unwrap().texts.clear();
        self.shared.moved.notify_all();
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
        for (from, to, answers) in [(client, upstream, false), (upstream, client, true)] {
            let (mut from, mut to, shared) = (copies(from), copies(to), Arc::clone(self));
            std::thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(count @ 1..) = from.read(&mut buffer) {
                    let lost = answers
                        && shared
                            .losses
                            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                            .is_ok();
                    if shared.hung.load(Ordering::SeqCst) {
                        shared.held.fetch_add(1, Ordering::SeqCst);
                        // For as long as the process of the tests.
                        std::thread::park();
                    }
                    if !answers {
                        shared.pass(&buffer[..count]);
                    }
                    if lost || to.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                from.shutdown(Shutdown::Both).ok();
                to.shutdown(Shutdown::Both).ok();
                shared.open.lock().unwrap().remove(&id);
            });
        }
    }

    /// Waits while the gate is closed to a piece.
    fn pass(&self, piece: &[u8]) {
        let mut gate = self.gate.lock().unwrap();
        let matches = |text: &String| piece.windows(text.len()).any(|window| window == text.as_bytes());
        if gate.texts.is_empty() || !gate.texts.iter().all(matches) {
            return;
        }
        gate.waiting += 1;
        self.moved.notify_all();
        while !gate.texts.is_empty() {
            gate = self.moved.wait(gate).unwrap();
        }
        gate.waiting -= 1;
    }
}

fn port_of(url: &str) -> &str {
    let server = url.rsplit_once('@').map_or(url, |(_, server)| server);
    let (_, port) = server.split_once(':').expect("a port in the URL");
    port.split('/').next().unwrap_or(port)
}
