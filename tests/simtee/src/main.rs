//! `simtee DIR`: a simulated world for programs in other languages: see `world` for what it writes into DIR. Serves until its standard input ends.
//! `simtee gpus SOCKET HEX`: the program that asks the GPUs of such a world: prints what their socket answers to a nonce.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use simtee::World;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, socket, nonce] = &arguments[..]
        && word == "gpus"
    {
        return ask_gpus(socket, nonce);
    }
    let folder = arguments.first().expect("usage: simtee DIR");
    let world = World::start(Path::new(folder)).await;
    world.ready("");
    let _ = std::io::stdin().read(&mut [0; 1]);
}

fn ask_gpus(socket: &str, nonce: &str) {
    let mut socket = UnixStream::connect(socket).expect("SOCKET");
    writeln!(socket, "{nonce}").expect("a question");
    std::io::copy(&mut socket, &mut std::io::stdout()).expect("an answer");
}
