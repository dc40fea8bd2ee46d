//! The guest agent of dstack, over its Unix socket: quotes, and events for the log (docs/protocol.md, "The certificate event"). Touches that socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::provider::{EvidenceInput, Provider};
use crate::attest::Tee;
use crate::attest::hash::hex;
use crate::error::{Error, Phase, Result, Status};
use crate::http_call::{AnswerBounds, call};
use crate::io::Socket;

/// Where agents listen; the second is the older one.
const USUAL: [&str; 2] = ["/var/run/dstack/dstack.sock", "/var/run/dstack.sock"];
const TIMEOUT: Duration = Duration::from_secs(20);
/// A quote with its log has some 50 KiB.
const MAX_ANSWER: usize = 4 << 20;

#[derive(Clone, Debug)]
pub struct GuestAgent {
    socket: PathBuf,
}

impl GuestAgent {
    /// At `path`, or where agents usually are. Errors: InvalidArgument (there is none).
    pub fn at(path: Option<&Path>) -> Result<GuestAgent> {
        let found = match path {
            Some(path) => Some(path.to_owned()),
            None => USUAL.iter().map(PathBuf::from).find(|path| path.exists()),
        };
        match found {
            Some(socket) => Ok(GuestAgent { socket }),
            None => Err(Error::new(Status::InvalidArgument, format!("no guest agent at {}", USUAL.join(" or ")))),
        }
    }

    async fn call(&self, path: &str, body: &Value) -> Result<(u16, Bytes)> {
        match tokio::time::timeout(TIMEOUT, self.exchange(path, body)).await {
            Ok(done) => done,
            Err(_) => Err(failed(format!("{path}: no answer within {} s", TIMEOUT.as_secs()))),
        }
    }

    async fn exchange(&self, path: &str, body: &Value) -> Result<(u16, Bytes)> {
        let socket = Socket::at(&self.socket).await;
        let socket = socket.map_err(|error| failed(format!("{}: {error}", self.socket.display())))?;
        let request = http::Request::post(path)
            .header("Host", "localhost")
            .header("Content-Type", "application/json")
            .header("Connection", "close")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|error| failed(error.to_string()))?;
        let bounds = AnswerBounds { max_bytes: MAX_ANSWER, wants_body: |_| true };
        let (answer, _) = call(socket, request, bounds).await.map_err(|why| failed(format!("{path}: {why}")))?;
        if let Err(bad) = answer.framing {
            return Err(failed(format!("{path}: {}", bad.message)).detail(bad.detail));
        }
        Ok((answer.head.status.as_u16(), answer.body))
    }
}

impl Provider for GuestAgent {
    fn tee(&self) -> Tee {
        Tee::Tdx
    }

    /// Quote and log; what the agent says, unjudged.
    fn evidence<'a>(&'a self, input: EvidenceInput<'a>) -> BoxFuture<'a, Result<Value>> {
        async move {
            let (status, answer) = self.call("/GetQuote", &json!({"report_data": hex(input.binder)})).await?;
            match status {
                200 => serde_json::from_slice(&answer).map_err(|error| failed(format!("/GetQuote: {error}"))),
                other => Err(failed(format!("/GetQuote: status {other}: {}", shown(&answer)))),
            }
        }
        .boxed()
    }

    fn has_log(&self) -> bool {
        true
    }

    fn record<'a>(&'a self, name: &'a str, payload: &'a [u8]) -> BoxFuture<'a, Result<bool>> {
        async move {
            let (status, answer) = self.call("/EmitEvent", &json!({"event": name, "payload": hex(payload)})).await?;
            match status {
                200..300 => Ok(true),
                404 | 405 | 501 => Ok(false),
                other => Err(failed(format!("/EmitEvent: status {other}: {}", shown(&answer)))),
            }
        }
        .boxed()
    }
}

fn shown(answer: &[u8]) -> String {
    String::from_utf8_lossy(&answer[..answer.len().min(200)]).escape_debug().to_string()
}

fn failed(why: String) -> Error {
    Error::new(Status::NoEvidence, format!("guest agent: {why}")).phase(Phase::Evidence)
}
