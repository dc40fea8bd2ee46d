//! Connecting to the simulator through the C ABI, as a host would.
#![allow(dead_code, unsafe_code)]

#[rustfmt::skip]
pub mod abi;
pub mod azure;
pub mod azure_machine;
pub mod azure_real;
pub mod enclave;
pub mod evidence;
pub mod nitro;
pub mod nvidia;
pub mod offline;
pub mod results;
pub mod schema;
pub mod server;
pub mod snp;
pub mod snp_guest;
pub mod swtpm;

use abi::*;
use std::ffi::CString;
use std::ptr::null_mut;
use std::sync::Arc;

use hostile::{Options, Server};
use serde_json::Value;
use simtee::pccs::Pccs;
use simtee::{Guest, SimTee};

/// A simulated world: vendor, collateral service and one server, on a runtime of its own.
pub struct World {
    pub runtime: tokio::runtime::Runtime,
    pub tee: Arc<SimTee>,
    pub pccs: Pccs,
    pub server: Server,
    pub policy: Value,
    pub verifier: *mut atls_verifier,
}

// SAFETY: the handle is a thread-safe one.
unsafe impl Sync for World {}

/// What a refused connection said.
#[derive(Debug)]
pub struct Refusal {
    pub status: i32,
    pub name: String,
    pub message: String,
    pub phase: String,
    pub http_status: u32,
    pub tls_alert: i32,
    pub detail: u32,
    pub retryable: bool,
    /// Name of the first failing check, where a judgement was reached.
    pub check: String,
}

pub struct Stream(pub *mut atls_stream);

impl Drop for Stream {
    fn drop(&mut self) {
        unsafe { atls_stream_free(self.0) };
    }
}

pub fn text(value: atls_str) -> String {
    unsafe { std::ffi::CStr::from_ptr(value.ptr) }.to_string_lossy().into_owned()
}

impl World {
    pub fn new(options: Options) -> World {
        World::of(SimTee::new(), options)
    }

    pub fn of(tee: SimTee, options: Options) -> World {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let tee = Arc::new(tee);
        let (pccs, server) = runtime
            .block_on(async { (Pccs::start(tee.clone()).await, Server::start(tee.clone(), options.clone()).await) });
        let policy = options.guest.policy(&pccs.url);
        let verifier = simulated_verifier(&tee.root_der);
        World { runtime, tee, pccs, server, policy, verifier }
    }

    pub fn honest() -> World {
        World::new(Options::default())
    }

    /// A world whose server answers quote requests with what `answer` makes of the session.
    pub fn lying(answer: impl Fn(&hostile::Session) -> Vec<u8> + Send + Sync + 'static) -> World {
        World::replying(move |session| hostile::Reply::json(&answer(session)))
    }

    pub fn replying(reply: impl Fn(&hostile::Session) -> hostile::Reply + Send + Sync + 'static) -> World {
        World::new(Options { behaviour: Arc::new(reply), raw_echo: true, ..Options::default() })
    }

    /// A world whose server is honest about a guest that `change` made.
    pub fn with_guest(change: impl FnOnce(&mut Guest)) -> World {
        let mut options = Options::default();
        let policy = options.guest.policy("");
        change(&mut options.guest);
        let mut world = World::new(options);
        let url = world.pccs.url.clone();
        world.policy = policy;
        world.policy["pccs_url"] = url.into();
        world
    }

    pub fn connect(&self) -> Result<Stream, Refusal> {
        self.connect_with(&self.policy, |_| ())
    }

    pub fn connect_with(&self, policy: &Value, configure: impl FnOnce(*mut atls_config)) -> Result<Stream, Refusal> {
        self.connect_to(self.server.port(), policy, configure)
    }

    pub fn connect_to(
        &self,
        port: u16,
        policy: &Value,
        configure: impl FnOnce(*mut atls_config),
    ) -> Result<Stream, Refusal> {
        open(port, policy, self.verifier, |config| {
            add_root(config, &self.tee.web_ca_pem);
            configure(config);
        })
    }

    /// Connects, expects a refusal with this status, and that no byte of the application's reached the server.
    #[track_caller]
    pub fn refused(&self, status: &str) -> Refusal {
        self.refused_with(&self.policy, status)
    }

    /// As `refused_with`, on a server that accepted others before.
    #[track_caller]
    pub fn refused_after(&self, policy: &Value, status: &str) -> Refusal {
        self.server.application_bytes.store(0, std::sync::atomic::Ordering::SeqCst);
        self.refused_with(policy, status)
    }

    #[track_caller]
    pub fn refused_with(&self, policy: &Value, status: &str) -> Refusal {
        match self.connect_with(policy, |_| ()) {
            Ok(_) => panic!("the server was accepted"),
            Err(refusal) => {
                assert!(status.split('|').any(|one| one == refusal.name), "wanted {status}: {refusal:?}");
                let sent = self.server.application_bytes.load(std::sync::atomic::Ordering::SeqCst);
                assert_eq!(sent, 0, "application data was sent");
                refusal
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        unsafe { atls_verifier_free(self.verifier) };
    }
}

pub fn add_root(config: *mut atls_config, pem: &str) {
    let pem = CString::new(pem).unwrap();
    assert_eq!(unsafe { atls_config_add_root_pem(config, pem.as_ptr(), null_mut()) }, 0);
}

pub fn simulated_verifier(root: &[u8]) -> *mut atls_verifier {
    unsafe {
        let mut config = null_mut();
        assert_eq!(atls_verifier_config_new(&mut config, null_mut()), 0);
        assert_eq!(
            atls_verifier_config_set_simulated_root(
                config,
                atls_bytes { ptr: root.as_ptr(), len: root.len() },
                null_mut()
            ),
            0
        );
        let mut verifier = null_mut();
        assert_eq!(atls_verifier_new(config, &mut verifier, null_mut()), 0);
        atls_verifier_config_free(config);
        verifier
    }
}

/// A policy; `{"measuring": SETTINGS}` stands for one that only measures. Returns the status.
pub unsafe fn parse_policy(policy: &Value, parsed: &mut *mut atls_policy, error: &mut *mut atls_error) -> i32 {
    let (text, measures) = match policy.get("measuring") {
        Some(settings) => (settings.to_string(), true),
        None => (policy.to_string(), false),
    };
    let json = atls_bytes { ptr: text.as_ptr(), len: text.len() };
    unsafe {
        if measures { atls_policy_new_measuring(json, parsed, error) } else { atls_policy_new(json, parsed, error) }
    }
}

/// Opens a blocking stream to localhost under `policy`.
pub fn open(
    port: u16,
    policy: &Value,
    verifier: *mut atls_verifier,
    configure: impl FnOnce(*mut atls_config),
) -> Result<Stream, Refusal> {
    unsafe {
        let mut error = null_mut();
        let mut parsed = null_mut();
        if parse_policy(policy, &mut parsed, &mut error) != 0 {
            return Err(refusal(error));
        }
        let mut config = null_mut();
        assert_eq!(atls_config_new(c"localhost".as_ptr(), port, &mut config, &mut error), 0);
        assert_eq!(atls_config_set_policy(config, parsed, &mut error), 0);
        atls_policy_free(parsed);
        if !verifier.is_null() {
            assert_eq!(atls_config_set_verifier(config, verifier, &mut error), 0);
        }
        configure(config);
        let mut stream = null_mut();
        let status = atls_stream_connect(config, &mut stream, &mut error);
        atls_config_free(config);
        if status == 0 { Ok(Stream(stream)) } else { Err(refusal(error)) }
    }
}

pub fn refusal(error: *mut atls_error) -> Refusal {
    unsafe {
        let status = atls_error_status(error);
        let verdict = atls_error_verdict(error);
        if !verdict.is_null() {
            results::of(verdict);
        }
        let failed = (0..atls_verdict_check_count(verdict))
            .find(|index| atls_verdict_check_outcome(verdict, *index) == ATLS_CHECK_FAIL)
            .map(|index| text(atls_verdict_check_name(verdict, index)));
        let out = Refusal {
            status,
            name: text(abi::atls_status_name(status)),
            message: text(atls_error_message(error)),
            phase: text(atls_error_phase(error)),
            http_status: atls_error_http_status(error),
            tls_alert: atls_error_tls_alert(error),
            detail: atls_error_detail(error),
            retryable: atls_error_retryable(error),
            check: failed.unwrap_or_default(),
        };
        atls_error_free(error);
        out
    }
}

/// Sends `data` over the stream and expects it back.
#[track_caller]
pub fn echo(stream: &Stream, data: &[u8]) {
    unsafe {
        assert_eq!(
            atls_stream_write_all(stream.0, atls_bytes { ptr: data.as_ptr(), len: data.len() }, 5000, null_mut()),
            0
        );
        let mut back = Vec::new();
        while back.len() < data.len() {
            let mut buffer = [0u8; 4096];
            let mut n = 0;
            let status = atls_stream_read(stream.0, buffer.as_mut_ptr(), buffer.len(), 5000, &mut n, null_mut());
            assert_eq!(status, 0);
            assert_ne!(n, 0, "the stream ended early");
            back.extend_from_slice(&buffer[..n]);
        }
        assert_eq!(back, data);
    }
}
