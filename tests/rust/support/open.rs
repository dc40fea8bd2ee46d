//! What the tests of open connections have in common: a clock that can be moved, and requests through a client or on one connection.
#![allow(dead_code, unsafe_code)]

use std::ffi::{CString, c_long};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::support::abi::*;
use crate::support::{Refusal, World, add_root, refusal, text};

/// Seconds by which dates are ahead of the machine's.
static AHEAD: AtomicI64 = AtomicI64::new(0);
/// Seconds by which the clock that only goes forward is ahead of the machine's.
static RUN: AtomicI64 = AtomicI64::new(0);
static ALONE: Mutex<()> = Mutex::new(());

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// Everybody's clock in this process.
#[unsafe(no_mangle)]
extern "C" fn clock_gettime(which: i32, now: *mut Timespec) -> i32 {
    #[cfg(target_arch = "x86_64")]
    const NUMBER: c_long = 228;
    #[cfg(target_arch = "aarch64")]
    const NUMBER: c_long = 113;
    let done = unsafe { syscall(NUMBER, c_long::from(which), now) };
    if done == 0 && which == 0 {
        unsafe { (*now).seconds += AHEAD.load(Ordering::SeqCst) };
    }
    if done == 0 && which == 1 {
        unsafe { (*now).seconds += RUN.load(Ordering::SeqCst) };
    }
    done as i32
}

pub const HOUR: i64 = 3600;
pub const DAY: i64 = 24 * HOUR;

pub fn pass(seconds: i64) {
    AHEAD.fetch_add(seconds, Ordering::SeqCst);
}

/// Time passes, and dates are set back by as much. Little of it: whoever waits until some time waits as much longer.
pub fn pass_without_dates(seconds: i64) {
    RUN.fetch_add(seconds, Ordering::SeqCst);
}

/// Each test has the clock for itself.
pub struct Clock(#[allow(dead_code)] MutexGuard<'static, ()>);

pub fn clock() -> Clock {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    AHEAD.store(0, Ordering::SeqCst);
    RUN.store(0, Ordering::SeqCst);
    Clock(alone)
}

/// What makes requests: a client with its pool, or one connection.
#[derive(Clone, Copy)]
pub enum Way {
    Pool(*mut atls_client),
    Connection(*mut atls_http),
}

pub struct Requests {
    pub way: Way,
    port: u16,
}

// SAFETY: the handles are thread-safe ones.
unsafe impl Sync for Requests {}

impl Drop for Requests {
    fn drop(&mut self) {
        match self.way {
            Way::Pool(client) => unsafe { atls_client_free(client) },
            Way::Connection(http) => unsafe { atls_http_free(http) },
        }
    }
}

/// What a response came with.
#[derive(Debug)]
pub struct Answer {
    pub status: u32,
    pub reused: bool,
    /// The response says that the connection ends.
    pub closes: bool,
    pub verdict: Value,
}

fn with_config<T>(
    (world, port): (&World, u16),
    policy: &Value,
    configure: impl FnOnce(*mut atls_config),
    make: impl FnOnce(*mut atls_config) -> T,
) -> T {
    unsafe {
        let (json, mut config, mut parsed) = (policy.to_string(), null_mut(), null_mut());
        assert_eq!(atls_config_new(c"localhost".as_ptr(), port, &mut config, null_mut()), 0);
        let json = atls_bytes { ptr: json.as_ptr(), len: json.len() };
        assert_eq!(atls_policy_new(json, &mut parsed, null_mut()), 0, "{policy}");
        assert_eq!(atls_config_set_policy(config, parsed, null_mut()), 0);
        atls_policy_free(parsed);
        assert_eq!(atls_config_set_verifier(config, world.verifier, null_mut()), 0);
        add_root(config, &world.tee.web_ca_pem);
        configure(config);
        let made = make(config);
        atls_config_free(config);
        made
    }
}

/// To a server of `world`'s.
pub fn pool_to(at: (&World, u16), policy: &Value, configure: impl FnOnce(*mut atls_config)) -> Requests {
    let mut client = null_mut();
    let new = |config: *mut atls_config| unsafe {
        atls_client_new(std::ptr::null(), config, std::ptr::null(), &mut client, null_mut())
    };
    assert_eq!(with_config(at, policy, configure, new), 0);
    Requests { way: Way::Pool(client), port: at.1 }
}

pub fn connection_to(at: (&World, u16), policy: &Value, configure: impl FnOnce(*mut atls_config)) -> Requests {
    let mut http = null_mut();
    let connect = |config: *mut atls_config| unsafe { atls_http_connect(config, &mut http, null_mut()) };
    assert_eq!(with_config(at, policy, configure, connect), 0);
    Requests { way: Way::Connection(http), port: at.1 }
}

pub fn pool(world: &World, policy: &Value) -> Requests {
    pool_to((world, world.server.port()), policy, |_| ())
}

pub fn connection(world: &World, policy: &Value) -> Requests {
    connection_to((world, world.server.port()), policy, |_| ())
}

pub const WAYS: [fn(&World, &Value) -> Requests; 2] = [pool, connection];

impl Requests {
    pub fn get(&self, path: &str) -> Result<Answer, Refusal> {
        unsafe {
            let url = CString::new(format!("https://localhost:{}{path}", self.port)).unwrap();
            let (mut request, mut exchange, mut body, mut error) = (null_mut(), null_mut(), null_mut(), null_mut());
            assert_eq!(atls_request_new_url(c"GET".as_ptr(), url.as_ptr(), &mut request, null_mut()), 0);
            let mut status = match self.way {
                Way::Pool(client) => atls_client_fetch(client, request, &mut exchange, &mut error),
                Way::Connection(http) => atls_http_fetch(http, request, &mut exchange, &mut error),
            };
            let mut head = null_mut();
            if status == 0 {
                status = atls_exchange_head(exchange, 5000, &mut head, &mut error);
            }
            if status == 0 {
                status = atls_exchange_read_all(exchange, 1 << 20, 5000, &mut body, &mut error);
            }
            let verdict = match self.way {
                Way::Pool(_) => atls_exchange_verdict(exchange),
                Way::Connection(http) => atls_http_verdict(http),
            };
            let (reused, response) = (atls_exchange_reused(exchange), atls_head_status(head));
            let closes = !head.is_null() && text(atls_head_get(head, c"connection".as_ptr())) == "close";
            let json = text(atls_verdict_json(verdict));
            atls_verdict_free(verdict);
            atls_buf_free(body);
            atls_head_free(head);
            atls_exchange_free(exchange);
            atls_request_free(request);
            match status {
                0 => Ok(Answer { status: response, reused, closes, verdict: serde_json::from_str(&json).unwrap() }),
                _ => Err(refusal(error)),
            }
        }
    }

    #[track_caller]
    pub fn is_ok(&self) -> Answer {
        let answer = self.get("/small").unwrap_or_else(|refusal| panic!("{refusal:?}"));
        assert_eq!(answer.status, 200);
        answer
    }

    /// Refused, before any of the request was sent.
    #[track_caller]
    pub fn is_refused(&self, world: &World, status: &str) -> Refusal {
        let before = sent(world);
        let refusal = self.get("/small").expect_err("the request was answered");
        assert_eq!(refusal.name, status, "{refusal:?}");
        assert_eq!(sent(world), before, "some of the request was sent");
        refusal
    }
}

/// A POST whose body is written bit by bit.
pub struct Upload<'a> {
    exchange: *mut atls_exchange,
    _requests: &'a Requests,
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        unsafe { atls_exchange_free(self.exchange) };
    }
}

impl Upload<'_> {
    pub fn begin(requests: &Requests) -> Upload<'_> {
        unsafe {
            let url = CString::new(format!("https://localhost:{}/sink", requests.port)).unwrap();
            let (mut request, mut exchange) = (null_mut(), null_mut());
            assert_eq!(atls_request_new_url(c"POST".as_ptr(), url.as_ptr(), &mut request, null_mut()), 0);
            assert_eq!(atls_request_set_body_stream(request, ATLS_LENGTH_UNKNOWN, null_mut()), 0);
            let status = match requests.way {
                Way::Pool(client) => atls_client_fetch(client, request, &mut exchange, null_mut()),
                Way::Connection(http) => atls_http_fetch(http, request, &mut exchange, null_mut()),
            };
            assert_eq!(status, 0);
            atls_request_free(request);
            Upload { exchange, _requests: requests }
        }
    }

    pub fn write(&self, text: &str) -> Result<(), Refusal> {
        let (mut error, data) = (null_mut(), atls_bytes { ptr: text.as_ptr(), len: text.len() });
        match unsafe { atls_exchange_write_all(self.exchange, data, 5000, &mut error) } {
            0 => Ok(()),
            _ => Err(refusal(error)),
        }
    }

    /// Writes until the server has the head, so that the exchange is under way: more than is queued.
    pub fn arrive(&self, world: &World) {
        let before = sent(world);
        for _ in 0..1000 {
            if sent(world) != before {
                return;
            }
            self.write(&"good".repeat(1 << 14)).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("the upload does not arrive");
    }

    /// The status of the response.
    pub fn end(&self) -> Result<u32, Refusal> {
        unsafe {
            let (mut error, mut head) = (null_mut(), null_mut());
            let mut status = atls_exchange_finish(self.exchange, &mut error);
            if status == 0 {
                status = atls_exchange_head(self.exchange, 5000, &mut head, &mut error);
            }
            let answered = atls_head_status(head);
            atls_head_free(head);
            if status == 0 { Ok(answered) } else { Err(refusal(error)) }
        }
    }
}

/// Bytes of requests that the world's server has received.
pub fn sent(world: &World) -> u64 {
    world.server.application_bytes.load(Ordering::SeqCst)
}

pub fn connections(world: &World) -> u64 {
    world.server.connections.load(Ordering::SeqCst)
}

/// The world's policy, with these members more.
pub fn policy(world: &World, more: Value) -> Value {
    let mut policy = world.policy.clone();
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    policy
}

/// The vendor publishes that the platform needs an update.
pub fn advise(world: &World) {
    world.pccs.set(|knobs| {
        (knobs.issue.status, knobs.issue.advisories) = ("OutOfDate", vec!["INTEL-SA-99999"]);
        knobs.issue.evaluation_number = 20;
    });
}

/// Lets the verifier fetch what the vendor has now, by another connection that it serves.
pub fn fetch_anew(world: &World) {
    let anew = policy(world, serde_json::json!({"cache_collateral": false, "binding": {"protocols": ["exporter-v1"]}}));
    let _ = world.connect_with(&anew, |_| ());
}
