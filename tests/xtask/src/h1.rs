//! The sans-I/O connection against programs of others: h11 as the oracle, curl and Python's http.server on the other end of the examples.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::shell::{Done, cargo, command, output, run};
use crate::{build, peers};

/// The same scripts through our connection and h11.
pub fn oracle() -> Done {
    let mut test = cargo();
    test.args(["test", "--locked", "--quiet", "--test", "h1_oracle", "--", "--ignored", "--nocapture"]);
    run(test.env("ATLS_H11_PYTHON", peers::python()?))
}

pub fn examples() -> Done {
    println!("h1_server, h1_client, h1_upgrade");
    server_with_curl()?;
    client_with_python()?;
    upgrade()
}

/// A program that prints the port it listens on, stopped in the end whatever happens.
struct Listening {
    child: Child,
    port: String,
}

impl Listening {
    fn start(program: &mut Command, marker: &str) -> Result<Listening, String> {
        let mut child = program
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{program:?}: {error}"))?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
        let found =
            lines.find_map(|line| line.ok()?.split_once(marker)?.1.split_whitespace().next().map(str::to_owned));
        Ok(Listening { child, port: found.ok_or("no port was printed")? })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn example(name: &str) -> Command {
    command(build::tree("plain").join("examples-c").join(name))
}

/// Keep-alive, an upload that waits for 100-continue and comes back chunked, and a request that is none.
fn server_with_curl() -> Done {
    let server = Listening::start(example("h1_server").arg("3"), "port ")?;
    let url = format!("http://127.0.0.1:{}/", server.port);
    let twice =
        output(command("curl").args(["-sS", "--max-time", "10", "-w", "%{num_connects}\n"]).args([&url, &url]))?;
    if twice != "hello\n1\nhello\n0\n" {
        return Err(format!("curl got {twice:?}"));
    }
    let data: Vec<u8> = (0..3_000_000u32).map(|n| ((n * 31) >> 3) as u8).collect();
    let mut curl = command("curl");
    curl.args(["-sS", "--max-time", "30", "-H", "Expect: 100-continue", "--data-binary", "@-", &url]);
    let mut child = curl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let (mut stdin, sent) = (child.stdin.take().ok_or("no stdin")?, data.clone());
    let sender = std::thread::spawn(move || stdin.write_all(&sent));
    let done = child.wait_with_output().map_err(|error| error.to_string())?;
    let _ = sender.join();
    if done.stdout != data {
        return Err("h1_server did not send back what curl uploaded".into());
    }
    let answer = talk(&server.port, b"BAD\r\n\r\n")?;
    match answer.starts_with("HTTP/1.1 400 ") && answer.contains("illegal request line") {
        true => Ok(()),
        false => Err(format!("h1_server answered nonsense with {answer:?}")),
    }
}

/// A file from a server that ends its body by closing the connection, or says how long it is.
fn client_with_python() -> Done {
    let folder = build::tree("plain");
    let mut python = command("python3");
    python.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]).arg(&folder);
    let server = Listening::start(&mut python, "port ")?;
    let got = output(example("h1_client").args(["127.0.0.1", &server.port, "/CMakeCache.txt"]))?;
    let file = std::fs::read_to_string(folder.join("CMakeCache.txt")).map_err(|error| error.to_string())?;
    if got == file { Ok(()) } else { Err("h1_client did not print the file that it fetched".into()) }
}

/// Bytes of the new protocol right behind the request, and no switch for one that does not propose it.
fn upgrade() -> Done {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n";
    for (more, status, rest) in [("Connection: upgrade\r\n\r\nearly", "101", "early"), ("\r\nearly", "426", "")] {
        let server = Listening::start(&mut example("h1_upgrade"), "port ")?;
        let answer = talk(&server.port, format!("{request}{more}").as_bytes())?;
        if !answer.starts_with(&format!("HTTP/1.1 {status} ")) || !answer.ends_with(&format!("\r\n\r\n{rest}")) {
            return Err(format!("h1_upgrade answered {answer:?}, not {status} and {rest:?}"));
        }
    }
    Ok(())
}

/// Sends, closes that half, and reads to the end.
fn talk(port: &str, bytes: &[u8]) -> Result<String, String> {
    let talk = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
        stream.write_all(bytes)?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    talk().map_err(|error| error.to_string())
}
