//! A server of the library's, through the C ABI.

use std::ffi::CString;
use std::ptr::null_mut;

use super::abi::*;
use base64::Engine;
use simtee::SimTee;

pub struct Served {
    pub runtime: *mut atls_runtime,
    pub queue: *mut atls_queue,
    server: *mut atls_server,
}

impl Drop for Served {
    fn drop(&mut self) {
        unsafe {
            atls_server_free(self.server);
            assert_eq!(atls_runtime_shutdown(self.runtime, 10_000, null_mut()), 0);
            atls_runtime_free(self.runtime);
            atls_queue_free(self.queue);
        }
    }
}

/// A server in TLS for "localhost" that lets go of each request, and its port.
pub fn plain(tee: &SimTee) -> (Served, u16) {
    with(tee, |_| ())
}

/// The same, configured further.
pub fn with(tee: &SimTee, configure: impl FnOnce(*mut atls_server_config)) -> (Served, u16) {
    serving(tee, ignore, configure)
}

/// What a host does about an event.
pub type OnEvent = unsafe extern "C" fn(*mut std::ffi::c_void, *const atls_event);

/// A server whose events go to `on_event`.
pub fn serving(tee: &SimTee, on_event: OnEvent, configure: impl FnOnce(*mut atls_server_config)) -> (Served, u16) {
    let (leaf, key) = tee.web_certificate(&["localhost"], -1, 30);
    let pem = |label: &str, der: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        CString::new(format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")).unwrap()
    };
    let (chain, key) = (pem("CERTIFICATE", &leaf), pem("PRIVATE KEY", &key));
    let (mut runtime, mut queue, mut config, mut server, mut port) =
        (null_mut(), null_mut(), null_mut(), null_mut(), 0);
    unsafe {
        assert_eq!(atls_runtime_new(1, &mut runtime, null_mut()), 0);
        assert_eq!(atls_queue_new_inline(&mut queue, null_mut()), 0);
        assert_eq!(atls_server_config_new(&mut config, null_mut()), 0);
        assert_eq!(atls_server_config_set_certificate(config, chain.as_ptr(), key.as_ptr(), null_mut()), 0);
        configure(config);
        let sink = atls_sink { queue, token: 0, call: Some(on_event), user_data: null_mut(), drop: None };
        assert_eq!(atls_server_start(runtime, config, &sink, &mut server, null_mut()), 0);
        atls_server_config_free(config);
        assert_eq!(atls_server_listen(server, c"127.0.0.1".as_ptr(), 0, false.into(), &mut port, null_mut()), 0);
    }
    (Served { runtime, queue, server }, port)
}

unsafe extern "C" fn ignore(_: *mut std::ffi::c_void, _: *const super::abi::atls_event) {}
