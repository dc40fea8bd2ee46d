//! A request as its caller builds it: head, body, options, and for a client its URL. Touches random numbers, for the boundary of a form.

use std::sync::Arc;

use bytes::Bytes;

use super::BodySource;
use super::location::{Location, credentials};
use super::pending_request::{PendingBody, PendingRequest};
use super::request_options::RequestOptions;
use crate::error::{Error, Result, Status};
use crate::io::random::random;
use crate::message::credentials::{AuthScheme, Login};
use crate::message::date::http_date;
use crate::message::form::FormField;
use crate::message::header_fields::HeaderFields;
use crate::message::host::check_host;
use crate::message::{RequestHead, check_header, form};
use crate::operation::{Observer, SendQueue};

/// One request, which may be used several times. Head and options are shared with the exchanges that are made with it.
pub struct ClientRequest {
    head: Arc<RequestHead>,
    body: ClientBody,
    options: Arc<RequestOptions>,
    /// For a client: where it goes.
    location: Option<Location>,
}

/// The body of a request.
pub enum ClientBody {
    Full(Bytes),
    /// Written to the exchange, piece by piece; `None` if the length is unknown.
    Stream {
        length: Option<u64>,
        may_rewind: bool,
    },
    Source(Arc<dyn BodySource>, Option<u64>),
    /// Fields, and the boundary between them.
    Form(Vec<FormField>, String),
}

impl ClientRequest {
    /// For a connection that the caller owns. The arguments are checked when the request is used.
    pub fn new(method: &str, path: &str, host: &str) -> ClientRequest {
        ClientRequest::with((method, path, host), None, RequestOptions::default())
    }

    /// For a client. User and password in the URL are sent by the Basic scheme. Errors: InvalidArgument, Unsupported (another scheme).
    pub fn for_url(method: &str, url: &str) -> Result<ClientRequest> {
        let location = Location::parse(url)?;
        let mut options = RequestOptions::default();
        if let Some((user, password)) = credentials(url)? {
            options.login = Some(Login::new(&user, &password, AuthScheme::Basic)?);
        }
        let (path, host) = (location.path.clone(), location.authority.clone());
        Ok(ClientRequest::with((method, &path, &host), Some(location), options))
    }

    fn with(
        (method, path, host): (&str, &str, &str),
        location: Option<Location>,
        options: RequestOptions,
    ) -> ClientRequest {
        let head = RequestHead {
            method: method.to_owned(),
            path: path.to_owned(),
            host: host.to_owned(),
            host_line: None,
            absolute: false,
            headers: Vec::new(),
        };
        ClientRequest {
            head: Arc::new(head),
            body: ClientBody::Full(Bytes::new()),
            options: Arc::new(options),
            location,
        }
    }

    pub fn options(&self) -> &Arc<RequestOptions> {
        &self.options
    }

    pub fn options_mut(&mut self) -> &mut RequestOptions {
        Arc::make_mut(&mut self.options)
    }

    /// The value of Host in place of the URL's. Errors: InvalidArgument.
    pub fn set_host(&mut self, host: &str) -> Result<()> {
        check_host(host)?;
        self.head_mut().host_line = Some(host.to_owned());
        Ok(())
    }

    /// Errors: HttpHeaderInvalid.
    pub fn add_header(&mut self, name: &str, value: &[u8]) -> Result<()> {
        check_header(name, value)?;
        self.head_mut().headers.push((name.to_owned(), value.to_vec()));
        Ok(())
    }

    /// All of them or, if one is not allowed, none. Errors: HttpHeaderInvalid.
    pub fn add_headers(&mut self, headers: &HeaderFields) -> Result<()> {
        let owned = |(name, value): (&[u8], &[u8])| (String::from_utf8_lossy(name).into_owned(), value.to_vec());
        let lines: Vec<_> = headers.iter().map(owned).collect();
        lines.iter().try_for_each(|(name, value)| check_header(name, value))?;
        self.head_mut().headers.extend(lines);
        Ok(())
    }

    /// A time in seconds since 1970. Errors: InvalidArgument (outside the years 1 to 9999), InvalidState (there is such a header already).
    pub fn set_if_modified_since(&mut self, seconds: i64) -> Result<()> {
        let date = http_date(seconds)?;
        let name = "If-Modified-Since";
        if self.head.has(name) {
            return Err(Error::new(Status::InvalidState, format!("the request already has a header field {name}")));
        }
        self.head_mut().add(name, date);
        Ok(())
    }

    /// Returns the previous body, which the caller must drop last: dropping a source calls the host.
    #[must_use]
    pub fn set_body(&mut self, body: ClientBody) -> ClientBody {
        std::mem::replace(&mut self.body, body)
    }

    /// Whether a streamed body can be written again. Errors: InvalidState (the body is not a stream).
    pub fn set_may_rewind(&mut self, may: bool) -> Result<()> {
        match &mut self.body {
            ClientBody::Stream { may_rewind, .. } => {
                *may_rewind = may;
                Ok(())
            }
            _ => Err(Error::new(Status::InvalidState, "the request's body is not a stream")),
        }
    }

    /// Adds a field to the form that is the body. A body of another kind is replaced by a form and returned, to be dropped as with `set_body`.
    /// Sets Content-Type. Errors: HttpHeaderInvalid (the field's own type).
    pub fn add_form_field(&mut self, field: FormField) -> Result<Option<ClientBody>> {
        if let Some(kind) = &field.content_type {
            check_header("Content-Type", kind.as_bytes())?;
        }
        let (kind, before) = match &mut self.body {
            ClientBody::Form(fields, boundary) => {
                fields.push(field);
                (form::content_type(fields, boundary), None)
            }
            other => {
                let (fields, boundary) = (vec![field], form::boundary(random()?));
                let kind = form::content_type(&fields, &boundary);
                (kind, Some(std::mem::replace(other, ClientBody::Form(fields, boundary))))
            }
        };
        let head = self.head_mut();
        head.remove(&["content-type"]);
        head.add("Content-Type", kind);
        Ok(before)
    }

    fn head_mut(&mut self) -> &mut RequestHead {
        Arc::make_mut(&mut self.head)
    }

    /// The body for one exchange; `writer`, if there is one, is told when a stream has room again.
    pub(super) fn begin_body(&self, writer: Option<Arc<dyn Observer>>) -> PendingBody {
        self.body.begin(writer)
    }

    /// The request for a client. Errors: InvalidArgument.
    pub(super) fn call(&self, body: PendingBody) -> Result<PendingRequest> {
        let missing = || Error::new(Status::InvalidArgument, "the request has no URL (atls_request_new_url)");
        let location = self.location.clone().ok_or_else(missing)?;
        Ok(PendingRequest::new(self.head.clone(), location, body, self.options.clone()))
    }

    /// The request with all its header fields, and its head as it is sent on a connection that the caller owns. Refuses what cannot be sent before anything is
    /// reserved.
    pub(super) fn complete(&self) -> Result<(Arc<RequestHead>, Vec<u8>)> {
        let length = self.body.length()?;
        let mut head = self.head.clone();
        if let Some(value) = self.options.login.as_ref().and_then(Login::unasked) {
            let head = Arc::make_mut(&mut head);
            head.remove(&["authorization"]);
            head.add("Authorization", value);
        }
        self.options.complete(&mut head, length);
        let written = head.head(length)?;
        Ok((head, written))
    }
}

impl ClientBody {
    fn length(&self) -> Result<Option<u64>> {
        match self {
            ClientBody::Full(data) => Ok(Some(data.len() as u64)),
            ClientBody::Stream { length: Some(0), .. } => {
                Err(Error::new(Status::InvalidArgument, "a streamed body of length 0"))
            }
            ClientBody::Stream { length, .. } | ClientBody::Source(_, length) => Ok(*length),
            ClientBody::Form(fields, boundary) => Ok(Some(form::length(fields, boundary))),
        }
    }

    fn begin(&self, writer: Option<Arc<dyn Observer>>) -> PendingBody {
        match self {
            ClientBody::Full(data) => PendingBody::Full(data.clone()),
            ClientBody::Stream { length, may_rewind } => {
                let outgoing = SendQueue::new(writer);
                if *may_rewind {
                    outgoing.allow_rewind();
                }
                PendingBody::Stream(Arc::new(outgoing), *length)
            }
            ClientBody::Source(source, length) => PendingBody::Source(source.clone(), *length),
            ClientBody::Form(fields, boundary) => PendingBody::Full(form::body(fields, boundary).into()),
        }
    }
}
