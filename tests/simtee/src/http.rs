//! Just enough HTTP/1.1 for servers that must also be able to break it: heads by hand, bodies by length or chunks.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub struct Request {
    pub method: String,
    pub path: String,
    /// The head as it came, byte for byte.
    pub head: Vec<u8>,
    pub body_length: BodyLength,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BodyLength {
    Fixed(u64),
    Chunked,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.head).into_owned();
        text.split("\r\n").skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

/// A connection with what was read beyond the last message.
pub struct Conn<S> {
    pub io: S,
    pub unread: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conn<S> {
    pub fn new(io: S) -> Conn<S> {
        Conn { io, unread: Vec::new() }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 << 10];
        let count = self.io.read(&mut buffer).await?;
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    /// The next request's head; `None` at a clean end.
    pub async fn request(&mut self) -> io::Result<Option<Request>> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut words = text.split(' ');
        let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        let mut request = Request { method, path, head, body_length: BodyLength::Fixed(0) };
        if request.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            request.body_length = BodyLength::Chunked;
        } else if let Some(length) = request.header("content-length") {
            request.body_length = BodyLength::Fixed(length.parse().unwrap_or(0));
        }
        Ok(Some(request))
    }

    /// Reads a body to its end, handing on each piece; returns its length.
    pub async fn body(&mut self, length: BodyLength, mut piece: impl FnMut(&[u8])) -> io::Result<u64> {
        match length {
            BodyLength::Fixed(length) => self.take(length, &mut piece).await.map(|()| length),
            BodyLength::Chunked => {
                let mut total = 0;
                loop {
                    let line = self.line().await?;
                    let size = u64::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16)
                        .map_err(io::Error::other)?;
                    if size == 0 {
                        while !self.line().await?.is_empty() {}
                        return Ok(total);
                    }
                    self.take(size, &mut piece).await?;
                    self.line().await?;
                    total += size;
                }
            }
        }
    }

    async fn take(&mut self, mut length: u64, piece: &mut impl FnMut(&[u8])) -> io::Result<()> {
        while length > 0 {
            if self.unread.is_empty() && self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let count = self.unread.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            piece(&self.unread[..count]);
            self.unread.drain(..count);
            length -= count as u64;
        }
        Ok(())
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.unread.windows(2).position(|window| window == b"\r\n") {
                let line = String::from_utf8_lossy(&self.unread[..at]).into_owned();
                self.unread.drain(..at + 2);
                return Ok(line);
            }
            if self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    pub async fn respond(&mut self, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
        let mut message = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        message.extend_from_slice(body);
        self.write(&message).await
    }

    pub async fn chunk(&mut self, data: &[u8]) -> io::Result<()> {
        let mut message = format!("{:x}\r\n", data.len()).into_bytes();
        message.extend_from_slice(data);
        message.extend_from_slice(b"\r\n");
        self.write(&message).await
    }
}

/// A response as bytes, with a length.
pub fn response(status: &str, body: &[u8]) -> Vec<u8> {
    let mut message =
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len())
            .into_bytes();
    message.extend_from_slice(body);
    message
}
