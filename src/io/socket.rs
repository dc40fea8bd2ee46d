//! Connected sockets, TCP or Unix. Everything that the library sends to a peer passes through this file: a plain write to a peer that is gone raises SIGPIPE,
//! which by default ends the program. Touches the network.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{Domain, SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::error::{Error, Phase, Result, Status};

/// Sends carry MSG_NOSIGNAL, so that a reset by the peer is an error code, on the host's own threads too. (Apple has an option of the socket for it.)
#[derive(Debug)]
pub struct Socket(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Looks at a socket that another object owns, without keeping it open.
#[derive(Debug, Clone)]
pub struct SocketWatch(Weak<Kind>);

impl SocketWatch {
    /// Whether the socket is open and nothing has come: neither bytes nor the end. One system call.
    pub fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let looked = self.0.upgrade().map(|kind| SockRef::from(&*kind).peek(&mut byte));
        looked.is_some_and(|looked| looked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
    }
}

/// A connection that can be checked for a peer that is gone, without reading from it. A peer that has only ended its sending direction, as it may, is still
/// there: only a reset, or silence after TCP's keepalive probes, shows that it is gone.
pub trait Liveness {
    /// The error that the system has noticed on the connection, if any. One system call.
    fn check(&self) -> io::Result<()>;

    /// From now on, until it is called with false: when the connection is closed, even by the end of the process, it is reset, and what waits to be sent is
    /// discarded. Does nothing on a transport that cannot be reset, such as a Unix socket.
    fn resets(&self, _on: bool) {}
}

impl Liveness for Socket {
    fn check(&self) -> io::Result<()> {
        // An empty send only reports what is wrong.
        match SockRef::from(&*self.0).send_with_flags(&[], SEND_FLAGS) {
            Err(error) if !passes(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn resets(&self, on: bool) {
        if let Kind::Tcp(stream) = &*self.0 {
            let _ = SockRef::from(stream).set_linger(on.then_some(Duration::ZERO));
        }
    }
}

/// How many probes TCP sends before it gives up a peer that does not answer.
const PROBES: u32 = 3;

impl Socket {
    pub(super) fn dialled(stream: TcpStream) -> Result<Socket> {
        prepared(Kind::Tcp(stream))
    }

    /// Connects to the listener at `path`. Errors: Io.
    pub async fn at(path: &Path) -> Result<Socket> {
        let stream = UnixStream::connect(path).await.map_err(|error| Error::from_io(error, Phase::Connect))?;
        prepared(Kind::Unix(stream))
    }

    /// The next connection of a listener, and the peer's address.
    pub async fn accept_tcp(listener: &TcpListener) -> io::Result<(Socket, SocketAddr)> {
        let (stream, peer) = listener.accept().await?;
        Ok((Socket(Arc::new(Kind::Tcp(stream))), peer))
    }

    pub async fn accept_unix(listener: &UnixListener) -> io::Result<Socket> {
        let (stream, _) = listener.accept().await?;
        Ok(Socket(Arc::new(Kind::Unix(stream))))
    }

    /// A socket that the host has connected. Must run on the runtime. Errors: InvalidArgument (it is neither TCP nor Unix, or not connected), Io.
    pub fn take_over(socket: socket2::Socket) -> Result<Socket> {
        let failed = |error| Error::from_io(error, Phase::Call);
        let refuse = |why: &str| Error::new(Status::InvalidArgument, why);
        socket.peer_addr().map_err(|_| refuse("the socket is not connected"))?;
        socket.set_nonblocking(true).map_err(failed)?;
        let kind = match socket.domain().map_err(failed)? {
            Domain::IPV4 | Domain::IPV6 => Kind::Tcp(TcpStream::from_std(socket.into()).map_err(failed)?),
            Domain::UNIX => Kind::Unix(UnixStream::from_std(socket.into()).map_err(failed)?),
            _ => return Err(refuse("the socket is neither TCP nor Unix")),
        };
        prepared(kind)
    }

    /// Prepares an accepted connection: a failure here concerns this connection, not the listener.
    pub fn prepared(self) -> Result<Socket> {
        prepare(&self.0).map(|()| self)
    }

    /// After this long without traffic from the peer, and then at the same interval, TCP probes whether it is there (keepalive). Whole seconds. Does
    /// nothing for a Unix socket, which needs no probes.
    pub fn probe(&self, every: Option<Duration>) -> Result<()> {
        let (Some(every), Kind::Tcp(stream)) = (every, &*self.0) else { return Ok(()) };
        let keepalive = TcpKeepalive::new().with_time(every).with_interval(every).with_retries(PROBES);
        SockRef::from(stream).set_tcp_keepalive(&keepalive).map_err(|error| Error::from_io(error, Phase::Connect))
    }

    pub fn watch(&self) -> SocketWatch {
        SocketWatch(Arc::downgrade(&self.0))
    }

    /// None for a Unix socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        match &*self.0 {
            Kind::Tcp(stream) => stream.peer_addr().ok(),
            Kind::Unix(_) => None,
        }
    }

    fn send(&self, send: impl Fn(SockRef<'_>) -> io::Result<usize>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_io(Interest::WRITABLE, || send(SockRef::from(&*self.0))) {
                // Tried again here, below TLS: above it nobody knows how much TLS had taken already.
                Err(error) if passes(&error) => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl Kind {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Kind::Tcp(stream) => stream.poll_read_ready(cx),
            Kind::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Kind::Tcp(stream) => stream.poll_write_ready(cx),
            Kind::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Does not touch the room before there is something to put into it.
    fn try_read(&self, room: &mut ReadBuf<'_>) -> io::Result<usize> {
        match self {
            Kind::Tcp(stream) => stream.try_read_buf(room),
            Kind::Unix(stream) => stream.try_read_buf(room),
        }
    }

    fn try_io<R>(&self, interest: Interest, work: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        match self {
            Kind::Tcp(stream) => stream.try_io(interest, work),
            Kind::Unix(stream) => stream.try_io(interest, work),
        }
    }
}

impl AsFd for Kind {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Kind::Tcp(stream) => stream.as_fd(),
            Kind::Unix(stream) => stream.as_fd(),
        }
    }
}

fn prepared(kind: Kind) -> Result<Socket> {
    prepare(&kind)?;
    Ok(Socket(Arc::new(kind)))
}

fn prepare(kind: &Kind) -> Result<()> {
    let failed = |error| Error::from_io(error, Phase::Connect);
    if let Kind::Tcp(stream) = kind {
        stream.set_nodelay(true).map_err(failed)?;
    }
    #[cfg(target_vendor = "apple")]
    SockRef::from(kind).set_nosigpipe(true).map_err(failed)?;
    Ok(())
}

/// Whether the same call may simply be made again, once the socket is ready.
fn passes(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(target_vendor = "apple")]
const SEND_FLAGS: i32 = 0;
#[cfg(not(target_vendor = "apple"))]
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            let (room, mut short) = (buf.remaining(), false);
            let done = self.0.try_io(Interest::READABLE, || {
                let count = self.0.try_read(buf)?;
                // The socket is empty: reported here, this saves a system call that would only say so.
                short = count > 0 && count < room;
                if short { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match done {
                Err(error) if !short && passes(&error) => {}
                Err(error) if !short => return Poll::Ready(Err(error)),
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.send(|socket| socket.send_with_flags(buf, SEND_FLAGS), cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.send(|socket| socket.send_vectored_with_flags(bufs, SEND_FLAGS), cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.0).shutdown(Shutdown::Write))
    }
}

/// A Unix socket for threads that may block.
#[derive(Debug)]
pub struct BlockingSocket(socket2::Socket);

impl BlockingSocket {
    /// `silence`: how long one read or write may take.
    pub fn connect(path: &Path, silence: Duration) -> io::Result<BlockingSocket> {
        let socket = socket2::Socket::new(Domain::UNIX, socket2::Type::STREAM, None)?;
        socket.connect(&socket2::SockAddr::unix(path)?)?;
        socket.set_read_timeout(Some(silence))?;
        socket.set_write_timeout(Some(silence))?;
        Ok(BlockingSocket(socket))
    }
}

impl Read for BlockingSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for BlockingSocket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.send_with_flags(data, SEND_FLAGS)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    /// Other code that sends would do so without the flag.
    #[test]
    fn nothing_else_in_the_library_has_a_stream_of_the_system() {
        fn sources(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => sources(&path, found),
                    false if path.extension().is_some_and(|name| name == "rs") => found.push(path),
                    false => {}
                }
            }
        }
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        sources(&root, &mut found);
        assert!(found.len() > 100);
        let ours = [root.join("io/socket.rs"), root.join("io/dialling.rs")];
        for path in found.iter().filter(|path| !ours.contains(path)) {
            // Tests may play a peer.
            let text = fs::read_to_string(path).unwrap();
            let ours = text.split("mod tests").next().unwrap_or_default();
            for word in
                ["TcpStream", "UnixStream", "libc::send", "libc::sendmsg", "libc::writev", "UdpSocket", "UnixDatagram"]
            {
                assert!(!ours.contains(word), "{}: {word}", path.display());
            }
        }
    }
}
