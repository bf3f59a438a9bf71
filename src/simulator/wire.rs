//! Connections that can be cut, and the socket that they come from, which can go away and come back.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Sleep, sleep};

/// What shall become of a connection.
const OPEN: u8 = 0;
const CLOSE_AFTER_FLUSH: u8 = 1;
const CUT: u8 = 2;

/// The handle of a connection.
#[derive(Debug)]
pub(crate) struct Wire {
    /// From 1, in the order in which connections came.
    pub(crate) number: u64,
    state: AtomicU8,
    n_calls: AtomicUsize,
    reader: AtomicWaker,
}

impl Wire {
    fn new(number: u64) -> Self {
        Self { number, state: AtomicU8::new(OPEN), n_calls: AtomicUsize::new(0), reader: AtomicWaker::new() }
    }

    /// Ends the connection: nothing more is read or written, and the socket is closed.
    pub(crate) fn cut(&self) {
        self.state.store(CUT, Ordering::Release);
        self.reader.wake();
    }

    /// Ends the connection when what was answered is written.
    pub(crate) fn close_after_flush(&self) {
        self.state.store(CLOSE_AFTER_FLUSH, Ordering::Release);
    }

    /// Notes that a call is being answered, until the guard is dropped: the connection does not idle.
    pub(crate) fn call(self: &Arc<Self>) -> CallGuard {
        self.n_calls.fetch_add(1, Ordering::AcqRel);
        CallGuard(Arc::clone(self))
    }

    fn state(&self) -> u8 {
        self.state.load(Ordering::Acquire)
    }

    fn idles(&self) -> bool {
        self.n_calls.load(Ordering::Acquire) == 0
    }
}

/// A call that is being answered.
#[derive(Debug)]
pub(crate) struct CallGuard(Arc<Wire>);

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.0.n_calls.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The handle of the connection on which a call came.
#[derive(Clone, Debug)]
pub(crate) struct WireHandle(pub(crate) Arc<Wire>);

impl Connected<IncomingStream<'_, Door>> for WireHandle {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(Arc::clone(&stream.io().wire))
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct CuttableStream {
    tcp: TcpStream,
    wire: Arc<Wire>,
    idle: Option<IdleLimit>,
}

#[derive(Debug)]
struct IdleLimit {
    limit: Duration,
    timer: Pin<Box<Sleep>>,
}

fn cut_error() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the script closes this connection")
}

impl CuttableStream {
    fn is_cut(&self) -> bool {
        self.wire.state() == CUT
    }

    /// Something was read or written: the time of idling begins again.
    fn touch(&mut self) {
        if let Some(idle) = &mut self.idle {
            let deadline = Instant::now() + idle.limit;
            idle.timer.as_mut().reset(deadline);
        }
    }

    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(idle) = &mut self.idle else { return Poll::Pending };
        ready!(idle.timer.as_mut().poll(context));
        if self.wire.idles() {
            return Poll::Ready(());
        }
        // A call takes longer than the limit; its answer touches the connection.
        let deadline = Instant::now() + idle.limit;
        idle.timer.as_mut().reset(deadline);
        idle.timer.as_mut().poll(context)
    }

    fn written(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(result, Poll::Ready(Ok(_))) {
            self.touch();
        }
        result
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.wire.reader.register(context.waker());
        if self.is_cut() {
            return Poll::Ready(Err(cut_error()));
        }
        match Pin::new(&mut self.tcp).poll_read(context, buffer) {
            Poll::Ready(result) => {
                self.touch();
                Poll::Ready(result)
            }
            // Nothing read and no error is the end of a stream.
            Poll::Pending => self.poll_idle(context).map(Ok),
        }
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_cut() {
            return Poll::Ready(Err(cut_error()));
        }
        let result = Pin::new(&mut self.tcp).poll_write(context, bytes);
        self.written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_cut() {
            return Poll::Ready(Err(cut_error()));
        }
        let result = Pin::new(&mut self.tcp).poll_write_vectored(context, slices);
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.tcp).poll_flush(context))?;
        match self.wire.state() {
            OPEN => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err(cut_error())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// Where connections come in.
pub(crate) struct Door {
    address: SocketAddr,
    listener: Option<TcpListener>,
    close_idle: Option<Duration>,
    n_wires: u64,
    wires: Vec<Weak<Wire>>,
    reboots: mpsc::Receiver<Duration>,
    n_boots: watch::Sender<u64>,
}

impl Door {
    /// Listens on an address; call it inside a runtime. `n_boots` is raised whenever the server went away.
    pub(crate) fn open(
        address: SocketAddr,
        close_idle: Option<Duration>,
        reboots: mpsc::Receiver<Duration>,
        n_boots: watch::Sender<u64>,
    ) -> io::Result<Self> {
        let listener = bind(address)?.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let listener = Some(listener);
        Ok(Self { address, listener, close_idle, n_wires: 0, wires: Vec::new(), reboots, n_boots })
    }

    /// Returns the address that is listened on, with the port that the system gave.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn admit(&mut self, tcp: TcpStream) -> CuttableStream {
        // Without this, an answer in two writes would wait for the client's delayed acknowledgment.
        // A connection that is gone already shows at the first read.
        let _ = tcp.set_nodelay(true);
        self.n_wires += 1;
        let wire = Arc::new(Wire::new(self.n_wires));
        if self.wires.len() == self.wires.capacity() {
            self.wires.retain(|wire| wire.strong_count() > 0);
        }
        self.wires.push(Arc::downgrade(&wire));
        let idle = self.close_idle.map(|limit| IdleLimit { limit, timer: Box::pin(sleep(limit)) });
        CuttableStream { tcp, wire, idle }
    }

    /// Goes away: first no one gets in any more, then all connections end. Comes back after a time.
    async fn reboot(&mut self, down: Duration) {
        let back = Instant::now() + down;
        drop(self.listener.take());
        let mut held = bind(self.address);
        for wire in self.wires.drain(..).filter_map(|wire| wire.upgrade()) {
            wire.cut();
        }
        self.n_boots.send_modify(|n_boots| *n_boots += 1);
        tokio::time::sleep_until(back).await;
        // The bound socket keeps the port from everyone else meanwhile, and refuses connections because it does not listen.
        loop {
            match held.and_then(|socket| socket.listen(BACKLOG)) {
                Ok(listener) => {
                    self.listener = Some(listener);
                    return;
                }
                Err(_) => sleep(RETRY).await,
            }
            held = bind(self.address);
        }
    }
}

/// As many connections as the system may hold for a busy simulator.
const BACKLOG: u32 = 1024;

/// The pause after an error that may pass: no file handles, or a port that is taken for a moment.
const RETRY: Duration = Duration::from_millis(20);

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // On Windows the option would let two programs listen on one port; elsewhere a port that was just left needs it.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

impl Listener for Door {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, SocketAddr) {
        loop {
            let Some(listener) = &self.listener else {
                self.reboot(Duration::ZERO).await;
                continue;
            };
            tokio::select! {
                biased;
                Some(down) = self.reboots.recv() => self.reboot(down).await,
                accepted = listener.accept() => match accepted {
                    Ok((tcp, peer)) => return (self.admit(tcp), peer),
                    Err(_) => sleep(RETRY).await,
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
