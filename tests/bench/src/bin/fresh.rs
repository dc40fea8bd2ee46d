//! How many quotes a server makes for a client that comes with many requests at once and has not met it before.
//!
//! fresh SERVER CLIENT N: starts the server and the client, which are programs of tests/bench/c; the server's guest agent counts. Prints the client's line
//! with `quotes` in it.

use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use simtee::{Guest, World, agent};

const PORT: u16 = 18563;

static QUOTES: AtomicUsize = AtomicUsize::new(0);

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn listens() -> bool {
    std::net::TcpStream::connect(("127.0.0.1", PORT)).is_ok()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, client, count] = &arguments[..] else { panic!("usage: fresh SERVER CLIENT N") };
    let folder = std::env::temp_dir().join(format!("bench-fresh-{}", std::process::id()));
    let world = World::start(&folder).await;
    let socket = folder.join("counting.sock");
    agent::start(&socket, Arc::clone(&world.tee), Guest::booted(1), |_| {
        QUOTES.fetch_add(1, Ordering::Relaxed);
    });
    let served = Command::new(server).arg(PORT.to_string()).env("BENCH_AGENT", &socket).spawn().unwrap();
    let served = Running(served);
    let begun = Instant::now();
    while !listens() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the server does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A server's very first evidence takes one quote more.
    let ask = |count: &str| {
        let mut command = Command::new(client);
        command.args(["inline", "client", "fresh", count]).env("BENCH_PORT", PORT.to_string());
        command.env("BENCH_POLICY", folder.join("policy.json")).env("BENCH_ROOT", folder.join("root.der"));
        let out = command.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    ask("1");
    QUOTES.store(0, Ordering::Relaxed);
    let line = ask(count);
    drop(served);
    let _ = std::fs::remove_dir_all(&folder);
    println!("{},\"quotes\":{}}}", line.trim_end().trim_end_matches('}'), QUOTES.load(Ordering::Relaxed));
}
