//! Hands its arguments to the C client.

use std::ffi::{CString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;

// Links libcurl.
use curl_sys as _;

unsafe extern "C" {
    fn client_main(argc: c_int, argv: *mut *mut c_char) -> c_int;
}

fn main() {
    let arguments = std::env::args_os().map(|text| CString::new(text.into_vec()).expect("no NUL").into_raw());
    let mut arguments: Vec<*mut c_char> = arguments.chain([std::ptr::null_mut()]).collect();
    let count = arguments.len() as c_int - 1;
    // SAFETY: as C's own start-up would call it.
    std::process::exit(unsafe { client_main(count, arguments.as_mut_ptr()) });
}
