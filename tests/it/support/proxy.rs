//! A TCP proxy that can cut what goes through it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

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
}

fn port_of(url: &str) -> &str {
    let server = url.rsplit_once('@').map_or(url, |(_, server)| server);
    let (_, port) = server.split_once(':').expect("a port in the URL");
    port.split('/').next().unwrap_or(port)
}
