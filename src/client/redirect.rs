//! Redirects (RFC 9110 section 15.4): which are followed, where to, and which parts of the request are sent again. No I/O.

use std::sync::Arc;

use bytes::Bytes;

use super::pending_request::{FollowUp, PendingBody, PendingRequest};
use crate::error::{Detail, Error, Phase, Result, Status};
use crate::message::ReceivedHead;

/// The request that a response redirects to, if it is to be followed. `attested`: whether the server that answered was attested.
pub fn follow_up(call: &PendingRequest, head: &ReceivedHead, attested: bool) -> Result<Option<FollowUp>> {
    let (301 | 302 | 303 | 307 | 308, 1..) = (head.status, call.options.redirects) else { return Ok(None) };
    let Some(reference) = head.find("location") else { return Ok(None) };
    let to_get = match (head.status, &*call.request.method) {
        (303, method) => method != "HEAD",
        (301 | 302, "POST") => true,
        _ => false,
    };
    let location = call.location.join(reference).map_err(|error| error.detail(Detail::BadLocation))?;
    let stays = location.same_origin(&call.location);
    let refuse = |detail, why: String| {
        let error = Error::new(Status::RedirectRefused, why).http_status(head.status);
        Err(error.phase(Phase::Transfer).detail(detail))
    };
    if attested && !stays && !call.options.may_leave {
        return refuse(
            Detail::RedirectLeaves,
            format!("a redirect from attested {} to {}", call.location.host, location.as_str()),
        );
    }
    if location.plain && !call.location.plain && !call.options.may_downgrade {
        return refuse(Detail::RedirectDowngrades, format!("a redirect from https: to {}", location.as_str()));
    }
    let mut next = call.clone();
    let options = Arc::make_mut(&mut next.options);
    options.redirects -= 1;
    if !stays {
        options.login = None;
    }
    let request = Arc::make_mut(&mut next.request);
    if to_get {
        request.method = "GET".into();
        if let PendingBody::Stream(pieces, _) = &call.body {
            pieces.discard();
        }
        next.body = PendingBody::Full(Bytes::new());
        request.remove(&["content-length", "content-type", "content-encoding"]);
    }
    if !stays {
        request.remove(&["authorization", "cookie", "proxy-authorization"]);
    }
    (next.authorization, next.answered_anew) = (None, false);
    (request.host, request.host_line) = (location.authority.clone(), None);
    request.path = location.path.clone();
    next.location = location;
    Ok(Some(FollowUp { call: next, again: !to_get, followed: true }))
}
