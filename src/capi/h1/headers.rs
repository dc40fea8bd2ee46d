//! `atls_h1_header_list`: an owned list of headers, for languages that cannot hand C an array of pointers.

use super::conn::known_flags;
use super::types::{Headers, atls_h1_header, refused};
use crate::capi::base::arguments::{Out, Owned, bytes, c_bytes, require};
use crate::capi::base::bytes::atls_bytes;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free, guard_value};
use crate::capi::base::handle::{Handle, borrow_mut, destroy};
use crate::capi::base::status::atls_status;
use crate::error::{Error, Result, Status};
use crate::h1::{Rules, normalized};

/// A growable list of header fields that owns its bytes. Belongs to one thread at a time. Once cleared, it reuses its memory.
pub struct atls_h1_header_list {
    /// Names as they came, names in lower case, and values, one field after the other.
    bytes: Vec<u8>,
    /// Lengths of a name and its value.
    lens: Vec<(usize, usize)>,
    items: Vec<atls_h1_header>,
}

impl Handle for atls_h1_header_list {
    type Owner = Box<atls_h1_header_list>;
}

impl atls_h1_header_list {
    fn clear(&mut self) {
        self.bytes.clear();
        self.lens.clear();
        self.items.clear();
    }

    fn add(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(name);
        let lower = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.bytes[lower..].make_ascii_lowercase();
        self.bytes.extend_from_slice(value);
        self.lens.push((name.len(), value.len()));
    }

    /// The array for C, made when it is asked for.
    fn items(&mut self) -> &[atls_h1_header] {
        self.items.clear();
        let mut rest = &self.bytes[..];
        for &(name, value) in &self.lens {
            let (raw, after) = rest.split_at(name);
            let (lower, after) = after.split_at(name);
            let (value, after) = after.split_at(value);
            rest = after;
            let (name, value) = (atls_bytes::of(lower), atls_bytes::of(value));
            self.items.push(atls_h1_header { name, value, raw_name: raw.as_ptr() });
        }
        &self.items
    }
}

/// Creates an empty list, which you free. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_header_list_new(
    list: Out<*mut atls_h1_header_list>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let list = require(list, "list")?;
        let made = atls_h1_header_list { bytes: Vec::new(), lens: Vec::new(), items: Vec::new() };
        list.give(Box::new(made));
        Ok(())
    })
}

/// Frees the list and the array that it gave.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_header_list_free(list: Owned<atls_h1_header_list>) {
    guard_free(|| destroy(list));
}

/// Empties the list and keeps its memory.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_header_list_clear(list: Option<&mut atls_h1_header_list>) {
    guard_free(|| {
        if let Ok(list) = borrow_mut(list, "list") {
            list.clear();
        }
    });
}

/// Appends a copy of one header field. It is not checked here, but when it is sent. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_header_list_add(
    list: Option<&mut atls_h1_header_list>,
    name: c_bytes,
    value: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let list = borrow_mut(list, "list")?;
        let (name, value) = (bytes(name, "name")?, bytes(value, "value")?);
        list.add(name, value);
        Ok(())
    })
}

/// Adds copies of `count` header fields in one call.
/// `data`: name, value, name, value and so on, with nothing in between.
/// `lens`: their lengths, 2 * `count` in the same order, which must add up to the length of `data`. May be NULL if `count` is 0.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_h1_header_list_add_packed(
    list: Option<&mut atls_h1_header_list>,
    data: c_bytes,
    lens: *const u32,
    count: usize,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let list = borrow_mut(list, "list")?;
        let mut rest = bytes(data, "data")?;
        if lens.is_null() && count > 0 {
            return Err(Error::new(Status::NullArgument, "lens is NULL"));
        }
        if count > isize::MAX as usize / 8 {
            return Err(Error::new(Status::InvalidArgument, format!("count {count} is impossible")));
        }
        let lens = match count {
            0 => &[][..],
            // SAFETY: the host says that there are twice `count`, checked above not to be too many.
            _ => unsafe { std::slice::from_raw_parts(lens, 2 * count) },
        };
        if lens.iter().map(|len| u128::from(*len)).sum::<u128>() != rest.len() as u128 {
            return Err(Error::new(
                Status::InvalidArgument,
                format!("lens do not add up to the {} bytes of data", rest.len()),
            ));
        }
        for pair in lens.chunks_exact(2) {
            let (name, after) = rest.split_at(pair[0] as usize);
            let (value, after) = after.split_at(pair[1] as usize);
            list.add(name, value);
            rest = after;
        }
        Ok(())
    })
}

/// Returns the list as an array for the sending calls; NULL for NULL. Valid until the list is changed or freed.
/// `len`: the number of elements. May be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_header_list_items(
    list: Option<&mut atls_h1_header_list>,
    len: Out<usize>,
) -> *const atls_h1_header {
    guard_value(std::ptr::null(), || {
        let items = borrow_mut(list, "list").map(atls_h1_header_list::items);
        let count = items.as_ref().map_or(0, |items| items.len());
        if let Some(len) = len.get() {
            len.write(count);
        }
        items.map_or(std::ptr::null(), <[_]>::as_ptr)
    })
}

/// Checks header fields as the sending calls do and writes them, normalised, to `out`, whose former contents are replaced. Equal Content-Length
/// header fields are merged if `flags` allow it; Transfer-Encoding becomes lower case. On failure `out` is unchanged.
/// `out`: must not be the list that `headers` come from.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, H1_LOCAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_h1_headers_normalize(
    headers: *const atls_h1_header,
    headers_len: usize,
    flags: u32,
    out: Option<&mut atls_h1_header_list>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let rules = rules(flags)?;
        // SAFETY: the host says that there are `headers_len`; they are not used after the call.
        let headers = unsafe { Headers::new(headers, headers_len) }?;
        let out = borrow_mut(out, "out")?;
        normalized(headers.iter(), &rules, |_, _| ()).map_err(refused)?;
        out.clear();
        normalized(headers.iter(), &rules, |name, value| out.add(name, value)).map(drop).map_err(refused)
    })
}

pub(in crate::capi) fn rules(flags: u32) -> Result<Rules> {
    Ok(Rules { flags: known_flags(flags)?, ..Rules::default() })
}
