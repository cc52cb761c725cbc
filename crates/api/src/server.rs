//! The server itself: connections in, and how they end.
//!
//! actix-web's own `HttpServer` puts the same parts together, but knows nothing of two things that callers and load balancers
//! count on. A client that takes no bytes of its answer is cut off after a while ([`Impatient`]); and a server that is told to
//! stop serves on until everybody has had the time to see it ([`stop`]).

use std::{
    io,
    net::{self, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_http::HttpService;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{
    App as ActixApp, Error,
    body::MessageBody,
    dev::{AppConfig, Server, ServerHandle, ServiceRequest, ServiceResponse},
    http::ConnectionType,
    middleware::{Next, from_fn},
    web::Data,
};
use socket2::{SockFilter, SockRef};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use crate::{App, content_encoding, line_ends::LineEnds, routes, unread_body};

/// What the kernel keeps of an answer that its client does not take. Beyond that we see that it does not; and whoever takes
/// any of it takes a third of this, which is enough to be waited for again.
const SEND_BUFFER: usize = 256 * 1024;
/// For those who were already being let in: three segments, and a turn of ours.
const HANDSHAKES: Duration = Duration::from_millis(300);
/// For connections that were opened just before the door closed: whoever opens one has something to ask.
const LAST_REQUESTS: Duration = Duration::from_secs(1);
/// How long a client that is still sending may take to notice that we are done with it; as actix-web has it.
const CLIENT_DISCONNECT: Duration = Duration::from_secs(1);

/// Serves until `app.tasks` stop, and everybody who is served has got an answer.
pub(crate) async fn run(
    listener: net::TcpListener,
    app: Data<App>,
    drain_timeout: Duration,
) -> io::Result<()> {
    let (closing, open) = (CancellationToken::new(), TaskTracker::new());
    let door = listener.try_clone()?;
    let mut server = start(listener, &app, drain_timeout, &closing, &open)?;
    let handle = server.handle();
    tokio::select! {
        served = &mut server => return served,
        () = stop(&app, door, drain_timeout, &handle, &closing, &open) => {}
    }
    server.await
}

/// First everything goes on, only that each answer is its connection's last and `/readyz` says no; then the door closes, and
/// only what is being answered is.
async fn stop(
    app: &App,
    door: net::TcpListener,
    drain_timeout: Duration,
    server: &ServerHandle,
    closing: &CancellationToken,
    open: &TaskTracker,
) {
    app.tasks.stopping().cancelled().await;
    // What is in hand then must be finished before the deadline, too.
    let notice = app.config.closing_notice.min(drain_timeout / 2);
    if !notice.is_zero() {
        tokio::time::sleep(notice).await;
        close(&door, server).await;
        open.close();
        let _ = tokio::time::timeout(LAST_REQUESTS, open.wait()).await;
    }
    drop(door);
    closing.cancel();
    // Told when this is called; the server ends when it is done.
    drop(server.stop(true));
}

/// Whoever knocks is refused at once, instead of waiting in the queue of a door that will not open. Those in the queue would be
/// cut off, with what they may have said already; so nobody new gets into it, and it is served first.
async fn close(door: &net::TcpListener, server: &ServerHandle) {
    let door = SockRef::from(door);
    if let Err(error) = door.attach_filter(&NOBODY_NEW) {
        tracing::warn!(%error, "who is connecting just now may be cut off");
    }
    tokio::time::sleep(HANDSHAKES).await;
    server.pause().await;
    if let Err(error) = door.shutdown(net::Shutdown::Both) {
        tracing::warn!(%error, "the listening socket stays open a little longer");
    }
}

/// For the kernel (classic BPF): throws away segments with SYN among the TCP flags. Their senders try again after a second.
const NOBODY_NEW: [SockFilter; 4] = [
    SockFilter::new(0x30, 0, 0, 13),   // load the byte with the flags
    SockFilter::new(0x45, 0, 1, 0x02), // SYN: the next one, else the one after it
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

fn start(
    listener: net::TcpListener,
    app: &Data<App>,
    drain_timeout: Duration,
    closing: &CancellationToken,
    open: &TaskTracker,
) -> io::Result<Server> {
    let address = listener.local_addr()?;
    SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER)?;
    let (config, threads) = (app.config.clone(), app.config.threads);
    let (app, closing, open) = (app.clone(), closing.clone(), open.clone());
    let serve = move || {
        let (closing, open, write_timeout) = (closing.clone(), open.clone(), config.write_timeout);
        let service = ActixApp::new()
            .app_data(app.clone())
            .app_data(address)
            .wrap(from_fn(content_encoding::is_identity))
            .wrap(from_fn(unread_body::closes_connection))
            .wrap(from_fn(routes::guarded))
            .wrap(from_fn(last_of_its_connection))
            .wrap(routes::extra_headers())
            .configure(routes::table)
            .into_factory()
            .map_err(|error: Error| error.error_response());
        let http = HttpService::build()
            .keep_alive(config.keep_alive)
            .client_request_timeout(config.client_timeout)
            .client_disconnect_timeout(CLIENT_DISCONNECT)
            // Whoever has gone needs no answer: what is not begun for it is not done.
            .h1_allow_half_closed(false)
            .local_addr(address)
            .graceful_shutdown_signal(move || closing.clone().cancelled_owned())
            .h1(map_config(service, |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| {
            let connection = Impatient::new(stream, write_timeout, open.token());
            async move { Ok(connection) }
        })
        .and_then(http)
    };
    let server = Server::build().disable_signals().shutdown_timeout(drain_timeout.as_secs());
    let server = if let Some(threads) = threads { server.workers(threads.max(1)) } else { server };
    Ok(server.listen("api", listener, serve)?.run())
}

/// While we are stopping, a client is told to ask somebody else the next time.
async fn last_of_its_connection(
    app: Data<App>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut answer = next.call(request).await?;
    if app.tasks.stopping().is_cancelled() {
        answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(answer)
}

/// A connection that breaks when its client takes no bytes for a while, and is counted as long as it is open. What comes in on it
/// has the line ends that HTTP asks for.
struct Impatient {
    stream: TcpStream,
    patience: Duration,
    /// Runs while the client does not take what there is.
    waiting: Option<Pin<Box<Sleep>>>,
    line_ends: LineEnds,
    _open: TaskTrackerToken,
}

impl Impatient {
    fn new(stream: TcpStream, patience: Duration, open: TaskTrackerToken) -> (Self, Option<SocketAddr>) {
        let _ = stream.set_nodelay(true);
        let peer = stream.peer_addr().ok();
        (Self { stream, patience, waiting: None, line_ends: LineEnds::default(), _open: open }, peer)
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.line_ends.pass(&mut buffer.filled_mut()[before..]);
        read
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(context, bytes) {
            self.waiting = None;
            return Poll::Ready(written);
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        std::task::ready!(waiting.as_mut().poll(context));
        // So that the kernel forgets at once what nobody takes.
        let _ = self.stream.set_zero_linger();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
