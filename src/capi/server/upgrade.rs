//! `atls_server_request`: a connection that leaves HTTP and becomes a stream.

use super::request::atls_server_request;
use crate::capi::base::arguments::{Counted, Out, require};
use crate::capi::base::error::atls_error;
use crate::capi::base::event::atls_sink;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::{share, share_hub};
use crate::capi::base::runtime::atls_runtime;
use crate::capi::base::status::atls_status;
use crate::capi::connect::stream::atls_stream;
use crate::capi::text::headers::atls_headers;
use crate::error::{Error, Status};
use crate::io::turn::in_turn;
use crate::server::{ResponseHead, Switch};
use crate::stream::PendingStream;

/// Answers with 101 and `headers`, which must include Upgrade, or answers a CONNECT with a 2xx, and
/// takes the connection out of HTTP. It becomes an event-driven atls_stream with events for `sink`:
/// CONNECTED once the response is on its way, then DATA, starting with bytes that the peer has sent
/// ahead.
///
/// The request must have been started; it ends with CLOSED and OK. The stream has the credit of the
/// server's requests (atls_server_config_set_credit). If the connection ends first, or the host
/// cancels the stream, the stream is CLOSED at once; canceling also closes the connection.
/// `runtime`: the server's.
/// `headers`: may be NULL.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (`status`), HTTP_HEADER_INVALID (Content-Length or
/// Transfer-Encoding, which this response cannot have), INVALID_STATE (not started; already
/// answered; the client did not ask for it; queue or runtime stopped), CLOSED.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_request_upgrade_start(
    request: Counted<atls_server_request>,
    runtime: Counted<atls_runtime>,
    status: u32,
    headers: Option<&atls_headers>,
    sink: Option<&atls_sink>,
    stream: Out<*mut atls_stream>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let stream = require(stream, "stream")?;
        let inner = &share(request, "request")?.inner;
        let runtime = share_hub(runtime, "runtime")?;
        let invalid = |_| Error::new(Status::InvalidArgument, format!("status {status}"));
        let status = u16::try_from(status).map_err(invalid)?;
        let head = ResponseHead::switching(status, headers.map(|headers| &headers.headers))?;
        inner.check_switch(status)?;
        let handle = runtime.handle().clone();
        let verdict = inner.origin.client.verdict.clone();
        let (made, shared, outlet) = atls_stream::waiting(runtime, sink, inner.switch_credit, verdict)?;
        stream.give(made);
        // If the request has ended in the meantime, the stream's CLOSED says so.
        let pending = PendingStream::new(shared, outlet);
        handle.spawn(in_turn(pending.watch()));
        let _ = inner.switch(Switch { head, stream: pending });
        Ok(())
    })
}
