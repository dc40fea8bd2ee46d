//! The small change of HTTP, without I/O: heads, header fields, forms, texts.

pub mod form;
pub mod head;
pub mod headers;
pub mod multipart;
#[allow(clippy::module_inception)]
pub mod text;
