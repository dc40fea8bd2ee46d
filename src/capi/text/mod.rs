//! The texts of HTTP, without I/O: heads, header fields, forms, dates, URLs.

pub mod form;
pub mod head;
pub mod headers;
pub mod multipart;
#[allow(clippy::module_inception)]
pub mod text;
