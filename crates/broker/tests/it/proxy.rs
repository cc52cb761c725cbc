//! A TCP proxy in front of the broker, to cut the line, to silence it, and to mend it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::{copy, copy_bidirectional, sink},
    net::{TcpListener, TcpStream},
    select,
    sync::watch,
    task::JoinSet,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Open,
    /// Cuts what there is and refuses what comes.
    Cut,
    /// Keeps connections and takes new ones, and says nothing on any, like a broker that hangs.
    Mute,
}

#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    counts: Arc<Counts>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicUsize,
    held: AtomicUsize,
}

impl Proxy {
    /// The URL of the broker behind, by way of the proxy.
    pub(crate) async fn before(url: &str) -> (Self, String) {
        let after_user = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
        let target = after_user.trim_start_matches("amqp://").split('/').next().unwrap().to_owned();
        let proxy = Self::start(target.clone()).await;
        let url = url.replace(&target, &proxy.address.to_string());
        (proxy, url)
    }

    async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (line, seen) = watch::channel(Line::Open);
        let counts = Arc::new(Counts::default());
        let counting = counts.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (inside, _) = listener.accept().await.unwrap();
                counting.accepted.fetch_add(1, SeqCst);
                connections.spawn(carry(inside, target.clone(), seen.clone(), counting.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, line, counts, _tasks: tasks }
    }

    pub(crate) fn cut(&self) {
        self.line.send_replace(Line::Cut);
    }

    pub(crate) fn mute(&self) {
        self.line.send_replace(Line::Mute);
    }

    pub(crate) fn mend(&self) {
        self.line.send_replace(Line::Open);
    }

    /// How many connections there have ever been.
    pub(crate) fn accepted(&self) -> usize {
        self.counts.accepted.load(SeqCst)
    }

    /// How many connections the client keeps open on a mute line.
    pub(crate) fn held(&self) -> usize {
        self.counts.held.load(SeqCst)
    }
}

async fn carry(mut inside: TcpStream, target: String, mut line: watch::Receiver<Line>, counts: Arc<Counts>) {
    let mut outside = None;
    if *line.borrow_and_update() == Line::Open {
        let outside = outside.insert(TcpStream::connect(target).await.unwrap());
        select! {
            _ = copy_bidirectional(&mut inside, outside) => return,
            _ = line.wait_for(|line| *line != Line::Open) => {}
        }
    }
    if *line.borrow_and_update() == Line::Mute {
        counts.held.fetch_add(1, SeqCst);
        let mut nowhere = sink();
        select! {
            _ = copy(&mut inside, &mut nowhere) => {}
            _ = line.wait_for(|line| *line != Line::Mute) => {}
        }
        counts.held.fetch_sub(1, SeqCst);
    }
}
