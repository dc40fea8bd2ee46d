//! What a tunnel holds, counted at the allocator: two pieces, whatever its peers announce; and what its ends say to one who breaks the protocol.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use atls::tunnel::relay;
use atls::tunnel::websocket::TunnelStream;
use atls::tunnel::{ForwarderRules, TunnelTraffic};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What the header says of a tunnel, less what its sockets and sessions take.
const BOUND: usize = 40 << 10;
const TUNNELS: usize = 100;
/// Of the pipes that stand for sockets.
const PIPE: usize = 64;

/// The client's and the target's end of a tunnel that runs.
fn tunnel() -> (DuplexStream, DuplexStream) {
    let ((client, inner_client), (target, inner_target)) = (duplex(PIPE), duplex(PIPE));
    tokio::spawn(async move {
        relay(inner_client, inner_target, &ForwarderRules::default(), &Arc::new(TunnelTraffic::default())).await
    });
    (client, target)
}

async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

async fn all_within_bounds() {
    let before = LIVE.load(Ordering::Relaxed);
    let mut tunnels: Vec<_> = (0..TUNNELS).map(|_| tunnel()).collect();
    settle().await;
    let held = || (LIVE.load(Ordering::Relaxed) - before) / TUNNELS;
    assert!(held() <= BOUND, "idle, {} bytes each", held());
    for (client, target) in &mut tunnels {
        // Both ways once, then a frame of 1 MiB that does not come; its mask is 0.
        client.write_all(b"\x82\x81\0\0\0\0x").await.unwrap();
        target.write_all(b"y").await.unwrap();
        assert_eq!(target.read_u8().await.unwrap(), b'x');
        let mut frame = [0; 3];
        client.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame, b"\x82\x01y");
        client.write_all(b"\x02\xff\0\0\0\0\0\x10\0\0\0\0\0\0begun").await.unwrap();
        let mut begun = [0; 5];
        target.read_exact(&mut begun).await.unwrap();
    }
    settle().await;
    assert!(held() <= BOUND, "with a frame in between, {} bytes each", held());
    // As much as is taken, and a target that takes nothing.
    for (client, _) in &mut tunnels {
        let endless = async { while client.write_all(&[b'x'; PIPE]).await.is_ok() {} };
        let _ = tokio::time::timeout(Duration::from_millis(1), endless).await;
    }
    assert!(held() <= BOUND, "with data that nobody takes, {} bytes each", held());
}

/// A client's own end, whose server announces 16 MiB.
async fn a_clients_end() {
    let before = LIVE.load(Ordering::Relaxed);
    let mut held = Vec::new();
    for _ in 0..TUNNELS {
        let (mut server, client) = duplex(PIPE);
        let mut client = TunnelStream::new(client, b"\x02\x7f\0\0\0\0\x01\0\0\0").unwrap();
        server.write_all(b"begun").await.unwrap();
        let mut begun = [0; 5];
        client.read_exact(&mut begun).await.unwrap();
        client.write_all(&[7; 40]).await.unwrap();
        held.push((server, client));
    }
    let each = (LIVE.load(Ordering::Relaxed) - before) / TUNNELS;
    assert!(each <= BOUND, "{each} bytes each");
}

/// One test, so that nobody else allocates meanwhile.
#[test]
fn a_tunnel_holds_two_pieces_whatever_is_announced() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        a_clients_end().await;
        all_within_bounds().await;
        violations().await;
        pings_while_nobody_reads().await;
    });
}

/// What a server sends that must not be, and the code that it is told, in a frame that is masked.
async fn violations() {
    for (sent, code) in [
        (&b"\x83\0"[..], 1002u16),
        (b"\x82\x81\0\0\0\0x", 1002),
        (b"\x80\x01x", 1002),
        (b"\x81\x02\xc3\x28", 1007),
        (b"\x82\x7f\0\0\0\0\x01\0\0\x01", 1009),
    ] {
        let (mut server, client) = duplex(1000);
        let mut client = TunnelStream::new(client, b"").unwrap();
        server.write_all(sent).await.unwrap();
        let error = client.read_u8().await.unwrap_err();
        assert!(error.to_string().contains(&code.to_string()), "{error}");
        let mut frame = [0; 8];
        server.read_exact(&mut frame).await.unwrap();
        assert_eq!((frame[0], frame[1] & 0x80), (0x88, 0x80));
        assert_eq!(u16::from_be_bytes([frame[6] ^ frame[2], frame[7] ^ frame[3]]), code);
    }
    // The end of the connection is not the end of the stream, and a tunnel that lets nothing through is none.
    for (sent, wanted) in [(&b"\x82\x01x"[..], "without a Close"), (b"\x88\0", "before anything came")] {
        let (mut server, client) = duplex(1000);
        server.write_all(sent).await.unwrap();
        server.shutdown().await.unwrap();
        let mut client = TunnelStream::new(client, b"").unwrap();
        let error = client.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let (mut server, client) = duplex(1000);
    server.write_all(b"\x82\x01x\x88\x02\x03\xe8").await.unwrap();
    let (mut client, mut all) = (TunnelStream::new(client, b"").unwrap(), Vec::new());
    client.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"x");
}

/// A client that sends pings and reads nothing is read on: the answers make no queue.
async fn pings_while_nobody_reads() {
    let (mut client, mut target) = tunnel();
    for _ in 0..1000 {
        client.write_all(b"\x89\x84\0\0\0\0ping").await.unwrap();
    }
    client.write_all(b"\x82\x81\0\0\0\0x").await.unwrap();
    assert_eq!(target.read_u8().await.unwrap(), b'x');
}
