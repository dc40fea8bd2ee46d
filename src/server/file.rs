//! Response bodies from a file, read on helper threads as fast as the peer takes them. May touch files.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{ResponseHead, ServerRequest};
use crate::error::{Error, Phase, Result, Status};
use crate::io::offload::offload;
use crate::io::turn::in_turn;
use crate::log;

const PIECE: u64 = 64 << 10;

/// A part of a file.
pub struct FilePart {
    file: Arc<File>,
    offset: u64,
    pub length: u64,
}

impl FilePart {
    /// From `offset`, so many bytes, or to the end. Errors: Io, InvalidArgument (no regular file; beyond its end).
    pub fn open(path: &Path, offset: u64, length: Option<u64>) -> Result<FilePart> {
        let failed = |error| Error::from_io(error, Phase::Call).context(format!("{}", path.display()));
        let refuse = |why: String| Error::new(Status::InvalidArgument, format!("{}: {why}", path.display()));
        let file = File::open(path).map_err(failed)?;
        let known = file.metadata().map_err(failed)?;
        if !known.is_file() {
            return Err(refuse("not a regular file".into()));
        }
        let rest = known.len().checked_sub(offset);
        let rest = rest.ok_or_else(|| refuse(format!("{} bytes, and none at {offset}", known.len())))?;
        match length.unwrap_or(rest) {
            length if length <= rest => Ok(FilePart { file: Arc::new(file), offset, length }),
            length => Err(refuse(format!("{rest} bytes from {offset}, not {length}"))),
        }
    }
}

/// Responds with the part. Errors: as `ServerRequest::send_head`; InvalidArgument (not a final head).
pub fn send(request: &Arc<ServerRequest>, message: ResponseHead, mut part: FilePart, runtime: &Handle) -> Result<()> {
    message.check_final()?;
    if !request.has_body(&message) {
        part.length = 0;
    } else if let Some(length) = message.length.filter(|length| *length != part.length) {
        let why = format!("Content-Length says {length} bytes, the part of the file has {}", part.length);
        return Err(Error::new(Status::HttpHeaderInvalid, why));
    }
    request.send_head(message)?;
    let request = request.clone();
    runtime.spawn(in_turn(async move {
        if let Err(error) = copy(&request, part).await {
            log::emit(log::DEBUG, || format!("file: {error}"));
            // The rest of the announced length will not come; CLOSED says why.
            match request.outgoing.get() {
                Some(outgoing) => outgoing.end(error),
                None => request.cancel.cancel(),
            }
        }
    }));
    Ok(())
}

async fn copy(request: &Arc<ServerRequest>, part: FilePart) -> Result<()> {
    let FilePart { file, mut offset, mut length } = part;
    while length > 0 {
        let (of, count) = (file.clone(), length.min(PIECE) as usize);
        let read = offload(move || {
            let mut piece = vec![0; count];
            of.read_exact_at(&mut piece, offset).map(|()| piece)
        });
        let piece = read.await?.map_err(|error| Error::from_io(error, Phase::Transfer))?;
        (offset, length) = (offset + count as u64, length - count as u64);
        // If the request has ended in another way, its own events say so.
        if request.write_all(Bytes::from(piece)).await.is_err() {
            return Ok(());
        }
    }
    let _ = request.finish(Vec::new());
    Ok(())
}
