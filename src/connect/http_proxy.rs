//! CONNECT (RFC 9110 section 9.3.6). `h1` reads the proxy's answer; `http_call` is not for this, since the bytes after it are no body. Touches the socket to
//! the proxy.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::error::{Detail, Error, Phase, Result, Status};
use crate::h1::{Connection, EventKind, ProtocolError, Role, Rules};
use crate::io::Socket;
use crate::message::credentials::Login;

/// Most informational responses before the final one.
const INFORMATIONAL: usize = 16;

/// What the proxy said.
enum ProxyAnswer {
    Nothing,
    Open,
    Refused { status: u16, reason: String, challenges: Vec<Vec<u8>> },
}

/// Asks the proxy for a tunnel to `host:port`. If the proxy sends a challenge and `login` can answer it, returns that answer, for another attempt.
pub async fn open(
    mut socket: Socket,
    host: &str,
    port: u16,
    login: Option<&Login>,
    answer: Option<String>,
) -> Result<(Socket, Option<String>)> {
    let mut conn = Connection::new(Role::Client, Rules::default());
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut headers = vec![(&b"Host"[..], authority.as_bytes())];
    let answered = answer.is_some();
    let credentials = answer.or_else(|| login?.unasked());
    if let Some(credentials) = &credentials {
        headers.push((b"Proxy-Authorization", credentials.as_bytes()));
    }
    let impossible = |error: ProtocolError| Error::new(Status::InvalidArgument, error.message);
    let head = conn.send_request(b"CONNECT", authority.as_bytes(), headers.into_iter()).map_err(impossible)?.to_vec();
    conn.send_end_of_message(std::iter::empty()).map_err(impossible)?;
    let io = |error| Error::from_io(error, Phase::Tunnel).context("proxy");
    socket.write_all(&head).await.map_err(io)?;
    socket.flush().await.map_err(io)?;
    let mut informational = 0;
    loop {
        match next(&mut conn, &mut informational)? {
            ProxyAnswer::Nothing => {
                if socket.read_buf(conn.room(1024)).await.map_err(io)? == 0 {
                    conn.receive_eof();
                }
            }
            // A TLS server waits for its client: bytes that are here already are not the server's.
            ProxyAnswer::Open => match conn.trailing_data() {
                (b"", false) => return Ok((socket, None)),
                _ => return Err(protocol("bytes, or the end of the connection, directly after the answer")),
            },
            ProxyAnswer::Refused { status, reason, challenges } => {
                let challenges = challenges.iter().map(Vec::as_slice);
                let known = login.filter(|_| status == 407 && !answered);
                let answer = known.and_then(|login| login.answer(challenges, "CONNECT", &authority, None));
                return match answer {
                    Some(answer) => Ok((socket, Some(answer))),
                    None => Err(refused(status, &reason)),
                };
            }
        }
    }
}

fn next(conn: &mut Connection, informational: &mut usize) -> Result<ProxyAnswer> {
    loop {
        let event = conn.next_event().map_err(|error| protocol(&error.message))?;
        match event.kind {
            EventKind::NeedData => return Ok(ProxyAnswer::Nothing),
            EventKind::InformationalResponse if *informational < INFORMATIONAL => *informational += 1,
            EventKind::InformationalResponse => return Err(protocol("too many informational responses")),
            EventKind::Response if (200..300).contains(&event.status) => return Ok(ProxyAnswer::Open),
            EventKind::Response => {
                let challenges = event.fields.iter().filter(|(name, ..)| *name == b"proxy-authenticate");
                return Ok(ProxyAnswer::Refused {
                    status: event.status,
                    reason: event.reason.escape_ascii().to_string(),
                    challenges: challenges.map(|(.., value)| value.to_vec()).collect(),
                });
            }
            _ => return Err(protocol("the connection ended before the answer")),
        }
    }
}

fn refused(status: u16, reason: &str) -> Error {
    let message = format!("the proxy answered with status {status} {reason}");
    let detail = if matches!(status, 401 | 407) { Detail::ProxyLogin } else { Detail::ProxyRefused };
    Error::new(Status::TunnelRefused, message).phase(Phase::Tunnel).http_status(status).detail(detail)
}

fn protocol(why: &str) -> Error {
    Error::new(Status::HttpProtocol, format!("proxy: {why}")).phase(Phase::Tunnel)
}
