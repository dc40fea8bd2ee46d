//! GPUs beside a server, asked by exporter-v1: true ones, and ones that lie; and both ends of the library's own, with GPUs on either side.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::ffi::{CString, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hostile::Session;
use serde_json::{Value, json};
use simtee::nitro::{Aws, Enclave};
use simtee::nvidia::{Gpu, Nvidia, nonce};
use support::abi::*;
use support::offline::now;
use support::server::Served;
use support::{Refusal, World, echo};

/// What a server says after it has told the truth: the answer, and how it was asked.
type Lie = Arc<Mutex<dyn FnMut(&Session, &mut Value) + Send>>;

/// A server in an enclave with a GPU.
struct Machine {
    world: World,
    verifier: *mut atls_verifier,
    policy: Value,
}

impl Drop for Machine {
    fn drop(&mut self) {
        unsafe { atls_verifier_free(self.verifier) };
    }
}

fn document(enclave: &Enclave, binder: &[u8; 64]) -> Value {
    json!({"document": STANDARD.encode(enclave.sign(&enclave.document(now(), binder)))})
}

fn policy() -> Value {
    json!({
        "type": "nitro", "pcrs": {"0": ["01".repeat(48)]}, "allow_simulated": true,
        "gpu": {"required": 1, "measurements": [{"values": {"1": "01".repeat(48)}}]},
    })
}

impl Machine {
    fn lying(change: impl FnMut(&Session, &mut Value) + Send + 'static) -> Machine {
        let change: Lie = Arc::new(Mutex::new(change));
        let (enclave, gpu) = (Aws::get().enclave(now() - 60, now() + 3600), Nvidia::get().gpu("1"));
        let world = World::lying(move |session| {
            let binder = session.binder().report_data_of([0, 4]);
            let mut answer = json!({
                "protocol": "exporter-v1", "role": "S", "tee": "nitro", "evidence": document(&enclave, &binder),
                "attached": [{"tee": "nvidia", "evidence": [gpu.honest(&nonce(&binder))]}], "challenge": null,
            });
            (change.lock().unwrap())(session, &mut answer);
            answer.to_string().into_bytes()
        });
        Machine { world, verifier: verifier(), policy: policy() }
    }

    fn connect(&self, policy: &Value) -> Result<support::Stream, Refusal> {
        support::open(self.world.server.port(), policy, self.verifier, |config| {
            support::add_root(config, &self.world.tee.web_ca_pem);
        })
    }

    #[track_caller]
    fn refused(&self, status: &str, check: &str) -> Refusal {
        let refusal = self.connect(&self.policy).err().expect("a refusal");
        assert_eq!((refusal.name.as_str(), refusal.check.as_str()), (status, check), "{refusal:?}");
        let sent = self.world.server.application_bytes.load(Ordering::SeqCst);
        assert_eq!(sent, 0, "application data was sent");
        refusal
    }
}

fn verifier() -> *mut atls_verifier {
    unsafe {
        let (mut config, mut verifier) = (null_mut(), null_mut());
        assert_eq!(atls_verifier_config_new(&mut config, null_mut()), 0);
        for (vendor, root) in [(c"aws", &Aws::get().root_pem), (c"nvidia", &Nvidia::get().root_pem)] {
            let root = atls_bytes { ptr: root.as_ptr(), len: root.len() };
            assert_eq!(atls_verifier_config_add_simulated_root(config, vendor.as_ptr(), root, null_mut()), 0);
        }
        assert_eq!(atls_verifier_new(config, &mut verifier, null_mut()), 0);
        atls_verifier_config_free(config);
        verifier
    }
}

#[test]
fn a_gpu_is_asked_for_after_the_kinds_of_the_policy() {
    let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
    let seen = asked.clone();
    let machine = Machine::lying(move |session, answer| {
        let challenge: Value = serde_json::from_slice(&session.body).unwrap();
        seen.lock().unwrap().push(challenge["tee"].clone());
        if challenge["tee"] == json!(["nitro"]) {
            answer.as_object_mut().unwrap().remove("attached");
        }
    });
    let stream = machine.connect(&machine.policy).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    echo(&stream, b"to the enclave and its GPU");
    let mut alone = machine.policy.clone();
    alone.as_object_mut().unwrap().remove("gpu");
    drop(machine.connect(&alone).unwrap_or_else(|refusal| panic!("{refusal:?}")));
    let tdx = json!({"type": "dstack_tdx", "disable_runtime_verification": true});
    alone.as_object_mut().unwrap().remove("allow_simulated");
    let both = json!({"any_of": [tdx, alone], "gpu": machine.policy["gpu"], "allow_simulated": true});
    drop(machine.connect(&both).unwrap_or_else(|refusal| panic!("{refusal:?}")));
    let asked = asked.lock().unwrap();
    assert_eq!(asked[..], [json!(["nitro", "nvidia"]), json!(["nitro"]), json!(["tdx", "nitro", "nvidia"])]);
}

#[test]
fn lies_are_noticed_before_data_is_sent() {
    let gpu = Arc::new(Nvidia::get().gpu("1"));
    let honest = |gpu: &Gpu, binder: &[u8; 64]| json!([{"tee": "nvidia", "evidence": [gpu.honest(&nonce(binder))]}]);
    Machine::lying(|_, answer| drop(answer.as_object_mut().unwrap().remove("attached")))
        .refused("MEASUREMENT_MISMATCH", "gpu_count");
    let of_tdx = gpu.clone();
    Machine::lying(move |session, answer| {
        answer["attached"] = honest(&of_tdx, &session.binder().report_data_of([0, 1]))
    })
    .refused("BINDING_MISMATCH", "nvidia[0].nonce");
    // Recorded in one session, and shown in the next.
    let mut recorded = None;
    let machine = Machine::lying(move |_, answer| {
        answer["attached"] = recorded.get_or_insert(answer["attached"].clone()).clone();
    });
    drop(machine.connect(&machine.policy).unwrap_or_else(|refusal| panic!("{refusal:?}")));
    machine.refused("BINDING_MISMATCH", "nvidia[0].nonce");
    let forger: &'static Nvidia = Box::leak(Box::new(Nvidia::of("GH100", simtee::nvidia::FWID_HOPPER)));
    let forged = forger.gpu("1");
    Machine::lying(move |session, answer| {
        answer["attached"] = honest(&forged, &session.binder().report_data_of([0, 4]))
    })
    .refused("QUOTE_INVALID", "nvidia[0].chain");
    let mut twice = Machine::lying(|_, answer| {
        let entry = answer["attached"][0].clone();
        answer["attached"].as_array_mut().unwrap().push(entry);
    });
    twice.policy["gpu"]["required"] = 2.into();
    twice.refused("MEASUREMENT_MISMATCH", "gpu_distinct");
}

#[test]
fn what_was_not_asked_for() {
    let mut alone = Machine::lying(|_, _| ());
    alone.policy.as_object_mut().unwrap().remove("gpu");
    assert!(alone.refused("EVIDENCE_INVALID", "").message.contains("was not asked for"));
    // Nothing of it is read.
    let mut unread = Machine::lying(|_, answer| answer["attached"][0]["evidence"] = "no list".into());
    assert!(unread.refused("EVIDENCE_INVALID", "").message.contains("is not a list"));
    unread.policy.as_object_mut().unwrap().remove("gpu");
    assert!(unread.refused("EVIDENCE_INVALID", "").message.contains("was not asked for"));
    let list = |count: usize| {
        move |_: &Session, answer: &mut Value| answer["attached"] = vec![answer["attached"][0].clone(); count].into()
    };
    assert!(Machine::lying(list(0)).refused("EVIDENCE_INVALID", "").message.contains("0 entries"));
    assert!(Machine::lying(list(9)).refused("EVIDENCE_INVALID", "").message.contains("9 entries"));
    Machine::lying(|_, answer| answer["attached"] = Value::Null).refused("EVIDENCE_INVALID", "");
    Machine::lying(|_, answer| answer["attached"][0]["tee"] = "nitro".into()).refused("EVIDENCE_INVALID", "");
    // A kind that attaches is none for the machine.
    let main = Machine::lying(|_, answer| {
        answer["tee"] = "nvidia".into();
        answer["evidence"] = answer["attached"][0]["evidence"].take();
        answer.as_object_mut().unwrap().remove("attached");
    });
    assert!(main.refused("EVIDENCE_INVALID", "").message.contains(r#"tee must be "nitro""#));
}

/// The host's evidence of an enclave and of a GPU, by callback.
struct Host {
    enclave: Enclave,
    gpus: Vec<Gpu>,
    answer: fn(Value) -> Option<String>,
    calls: AtomicUsize,
    drops: AtomicUsize,
}

impl Host {
    fn with(gpus: usize, answer: fn(Value) -> Option<String>) -> Arc<Host> {
        Arc::new(Host {
            enclave: Aws::get().enclave(now() - 60, now() + 3600),
            gpus: (0..gpus).map(|number| Nvidia::get().gpu(&number.to_string())).collect(),
            answer,
            calls: AtomicUsize::new(0),
            drops: AtomicUsize::new(0),
        })
    }

    fn honest() -> Arc<Host> {
        Host::with(1, |list| Some(list.to_string()))
    }

    /// For `user_data`; `let_go` takes it back.
    fn raw(self: &Arc<Host>) -> *mut c_void {
        Arc::into_raw(self.clone()) as *mut c_void
    }
}

unsafe extern "C" fn let_go(host: *mut c_void) {
    let host = unsafe { Arc::from_raw(host as *const Host) };
    host.drops.fetch_add(1, Ordering::SeqCst);
}

fn give(text: &str, evidence: *mut *mut atls_buf) -> i32 {
    let bytes = atls_bytes { ptr: text.as_ptr(), len: text.len() };
    unsafe { atls_buf_copy(bytes, evidence, null_mut()) }
}

unsafe extern "C" fn machine(host: *mut c_void, binder: *const u8, _: bool, evidence: *mut *mut atls_buf) -> i32 {
    let (host, binder) = unsafe { (&*(host as *const Host), &*(binder as *const [u8; 64])) };
    give(&document(&host.enclave, binder).to_string(), evidence)
}

unsafe extern "C" fn devices(host: *mut c_void, nonce: *const u8, evidence: *mut *mut atls_buf) -> i32 {
    let (host, nonce) = unsafe { (&*(host as *const Host), &*(nonce as *const [u8; 32])) };
    host.calls.fetch_add(1, Ordering::SeqCst);
    let list = host.gpus.iter().map(|gpu| gpu.honest(nonce)).collect();
    (host.answer)(list).map_or(7, |text| give(&text, evidence))
}

/// A server of the library's with this host's evidence.
fn serve(world: &World, host: &Arc<Host>, more: impl FnOnce(*mut atls_server_config)) -> (Served, u16) {
    support::server::with(&world.tee, |config| unsafe {
        let (tee, gpu) = (c"nitro".as_ptr(), c"nvidia".as_ptr());
        let set =
            atls_server_config_set_evidence_source(config, tee, Some(machine), host.raw(), Some(let_go), null_mut());
        assert_eq!(set, 0);
        let add =
            atls_server_config_add_attached_source(config, gpu, Some(devices), host.raw(), Some(let_go), null_mut());
        assert_eq!(add, 0);
        more(config);
    })
}

fn open(
    world: &World,
    port: u16,
    policy: &Value,
    more: impl FnOnce(*mut atls_config),
) -> Result<support::Stream, Refusal> {
    let verifier = verifier();
    let opened = support::open(port, policy, verifier, |config| {
        support::add_root(config, &world.tee.web_ca_pem);
        more(config);
    });
    unsafe { atls_verifier_free(verifier) };
    opened
}

#[test]
fn a_server_brings_evidence_of_its_gpus_by_a_function_of_the_hosts() {
    let world = World::honest();
    let host = Host::with(2, |list| Some(list.to_string()));
    let (served, port) = serve(&world, &host, |_| ());
    let mut wanted = policy();
    wanted["gpu"]["required"] = 2.into();
    drop(open(&world, port, &wanted, |_| ()).unwrap_or_else(|refusal| panic!("{refusal:?}")));
    assert_eq!(host.calls.load(Ordering::SeqCst), 1);
    wanted["gpu"]["required"] = 3.into();
    let refusal = open(&world, port, &wanted, |_| ()).err().unwrap();
    assert_eq!((refusal.name.as_str(), refusal.check.as_str()), ("MEASUREMENT_MISMATCH", "gpu_count"), "{refusal:?}");
    // A client that has no wish for it costs nothing.
    wanted.as_object_mut().unwrap().remove("gpu");
    drop(open(&world, port, &wanted, |_| ()).unwrap_or_else(|refusal| panic!("{refusal:?}")));
    assert_eq!(host.calls.load(Ordering::SeqCst), 2);
    assert_eq!(host.drops.load(Ordering::SeqCst), 0);
    drop(served);
    assert_eq!(host.drops.load(Ordering::SeqCst), 2);
}

#[test]
fn a_source_that_fails_leaves_the_server_without_evidence() {
    let world = World::honest();
    let answers: [fn(Value) -> Option<String>; 6] = [
        |_| None,
        |_| Some("no JSON".into()),
        |_| Some("[]".into()),
        |_| Some("{}".into()),
        |mut list| Some(list[0].take().to_string()),
        |mut list| {
            list[0]["evidence"] = "AAAA".into();
            Some(list.to_string())
        },
    ];
    for answer in answers {
        let host = Host::with(1, answer);
        let (_served, port) = serve(&world, &host, |_| ());
        let refusal = open(&world, port, &policy(), |_| ()).err().unwrap();
        assert_eq!((refusal.name.as_str(), refusal.http_status), ("NO_EVIDENCE", 500), "{refusal:?}");
        assert!(!refusal.message.contains("JSON"), "{refusal:?}");
    }
}

/// A server that wants its clients to be an enclave with a GPU.
fn strict(world: &World, gpu: &Value) -> (Served, u16) {
    let (host, verifier) = (Host::honest(), verifier());
    let mut wanted = policy();
    wanted["gpu"] = gpu.clone();
    let wanted = wanted.to_string();
    let served = serve(world, &host, |config| unsafe {
        let mut parsed = null_mut();
        let json = atls_bytes { ptr: wanted.as_ptr(), len: wanted.len() };
        assert_eq!(atls_policy_new(json, &mut parsed, null_mut()), 0);
        assert_eq!(atls_server_config_set_client_policy(config, parsed, verifier, null_mut()), 0);
        atls_policy_free(parsed);
    });
    unsafe { atls_verifier_free(verifier) };
    served
}

#[test]
fn a_client_brings_them_too() {
    let world = World::honest();
    let prove = |host: &Arc<Host>, with_devices: bool| {
        let host = host.clone();
        move |config: *mut atls_config| unsafe {
            let (tee, gpu) = (c"nitro".as_ptr(), c"nvidia".as_ptr());
            let set = atls_config_set_evidence_source(config, tee, Some(machine), host.raw(), Some(let_go), null_mut());
            assert_eq!(set, 0);
            if with_devices {
                let add =
                    atls_config_add_attached_source(config, gpu, Some(devices), host.raw(), Some(let_go), null_mut());
                assert_eq!(add, 0);
            }
        }
    };
    let host = Host::honest();
    let (_served, port) = strict(&world, &policy()["gpu"]);
    drop(open(&world, port, &policy(), prove(&host, true)).unwrap_or_else(|refusal| panic!("{refusal:?}")));
    assert_eq!((host.calls.load(Ordering::SeqCst), host.drops.load(Ordering::SeqCst)), (1, 2));
    for (proof, check) in [(prove(&host, false), "gpu_count"), (prove(&Host::with(0, |_| None), true), "")] {
        let refusal = open(&world, port, &policy(), proof).err().unwrap();
        let expected = if check.is_empty() { "NO_EVIDENCE" } else { "EVIDENCE_REFUSED" };
        assert!(refusal.name == expected && refusal.message.contains(check), "{refusal:?}");
    }
    // The client is told which of its devices was refused, and nothing more.
    let mut other = policy()["gpu"].clone();
    other["measurements"][0]["values"]["1"] = "77".repeat(48).into();
    let (_served, port) = strict(&world, &other);
    let refusal = open(&world, port, &policy(), prove(&host, true)).err().unwrap();
    assert_eq!(refusal.name, "EVIDENCE_REFUSED");
    assert!(refusal.message.contains("nvidia[0].measurements") && !refusal.message.contains("77"), "{refusal:?}");
}

#[test]
fn sources_that_are_refused_are_let_go_of() {
    let host = Host::honest();
    unsafe {
        let mut config = null_mut();
        assert_eq!(atls_server_config_new(&mut config, null_mut()), 0);
        let add = |tee: &str, evidence: atls_attached_fn| {
            let tee = CString::new(tee).unwrap();
            atls_server_config_add_attached_source(config, tee.as_ptr(), evidence, host.raw(), Some(let_go), null_mut())
        };
        for kind in ["nitro", "gpu", "NVIDIA", ""] {
            assert_eq!(add(kind, Some(devices)), ATLS_INVALID_ARGUMENT, "{kind}");
        }
        assert_eq!(add("nvidia", None), ATLS_NULL_ARGUMENT);
        assert_eq!(host.drops.load(Ordering::SeqCst), 5);
        for _ in 0..8 {
            assert_eq!(add("nvidia", Some(devices)), 0);
        }
        assert_eq!(add("nvidia", Some(devices)), ATLS_INVALID_ARGUMENT);
        assert_eq!(host.drops.load(Ordering::SeqCst), 6);
        atls_server_config_free(config);
        assert_eq!(host.drops.load(Ordering::SeqCst), 14);
        assert!(atls_has(ATLS_HAS_NVIDIA));
    }
}

#[test]
fn devices_without_a_machine_are_no_evidence() {
    let (world, host) = (World::honest(), Host::honest());
    unsafe {
        let (mut config, mut stream) = (null_mut(), null_mut());
        assert_eq!(atls_config_new(c"localhost".as_ptr(), world.server.port(), &mut config, null_mut()), 0);
        assert_eq!(atls_config_set_unattested(config, null_mut()), 0);
        let gpu = c"nvidia".as_ptr();
        let add = atls_config_add_attached_source(config, gpu, Some(devices), host.raw(), Some(let_go), null_mut());
        assert_eq!(add, 0);
        assert_eq!(atls_stream_connect(config, &mut stream, null_mut()), ATLS_INVALID_STATE);
        // Nor can evidence of the machine be of that kind, or a binder.
        let set = atls_config_set_evidence_source(config, gpu, Some(machine), host.raw(), Some(let_go), null_mut());
        assert_eq!(set, ATLS_INVALID_ARGUMENT);
        atls_config_free(config);
    }
    assert_eq!(host.drops.load(Ordering::SeqCst), 2);
}
