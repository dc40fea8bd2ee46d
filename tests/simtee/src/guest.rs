//! A dstack guest: what it measured, and the evidence that it gives.

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use aws_lc_rs::signature::EcdsaKeyPair;
use serde_json::{Value, json};

use crate::hex;
use crate::pki::SimTee;
use crate::quote::{self, QuoteBody};

const RUNTIME_EVENT: u32 = 0x0800_0001;

/// An event of the log. `digest` is what goes into the register; `None` computes it.
#[derive(Clone, Debug)]
pub struct Event {
    pub imr: u32,
    pub event_type: u32,
    pub name: String,
    pub payload: Vec<u8>,
    pub version: u32,
    pub digest: Option<[u8; 48]>,
}

#[derive(Clone, Debug)]
pub struct Guest {
    pub mrtd: [u8; 48],
    pub td_attributes: [u8; 8],
    pub mr_config_id: [u8; 48],
    pub events: Vec<Event>,
    /// Leave digests of runtime events empty, as newer guests do.
    pub strip_digests: bool,
    /// Quote version 5 with a TD 1.5 body instead of version 4.
    pub td15: bool,
    /// Of the TDX module that runs it; 0 is the first one, which TCB info describes by itself.
    pub module_version: u8,
    /// Of TD 1.5 bodies only.
    pub mr_service_td: [u8; 48],
}

pub const APP_COMPOSE: &str = r#"{"docker_compose_file":"services: {}","name":"demo","runner":"docker-compose"}"#;
pub const OS_IMAGE_HASH: [u8; 32] = [0x05; 32];

impl Guest {
    /// A guest as it stands after boot, with `events` of version 1 or 2.
    pub fn booted(version: u32) -> Guest {
        let compose = digest(&SHA256, APP_COMPOSE.as_bytes());
        let mut mr_config_id = [0; 48];
        mr_config_id[0] = 1;
        mr_config_id[1..33].copy_from_slice(compose.as_ref());
        let mut guest = Guest {
            mrtd: [0x11; 48],
            td_attributes: [0, 0, 0, 0x10, 0, 0, 0, 0],
            mr_config_id,
            events: Vec::new(),
            strip_digests: version == 2,
            td15: version == 2,
            module_version: 0,
            mr_service_td: [0; 48],
        };
        for imr in 0..3 {
            guest.events.push(Event {
                imr,
                event_type: 4,
                name: String::new(),
                payload: vec![],
                version: 1,
                digest: Some([imr as u8 + 1; 48]),
            });
        }
        guest.emit(version, "system-preparing", b"");
        guest.emit(version, "app-id", &compose.as_ref()[..20]);
        guest.emit(version, "compose-hash", compose.as_ref());
        guest.emit(version, "instance-id", &[9; 20]);
        guest.emit(version, "boot-mr-done", b"");
        guest.emit(version, "os-image-hash", &OS_IMAGE_HASH);
        guest.emit(version, "key-provider", br#"{"name":"kms","id":"abcd"}"#);
        guest.emit(version, "storage-fs", b"zfs");
        guest.emit(version, "system-ready", b"");
        guest
    }

    pub fn emit(&mut self, version: u32, name: &str, payload: &[u8]) {
        self.events.push(Event {
            imr: 3,
            event_type: RUNTIME_EVENT,
            name: name.into(),
            payload: payload.into(),
            version,
            digest: None,
        });
    }

    /// Records that the application serves `leaf`.
    pub fn emit_certificate(&mut self, leaf: &[u8]) {
        let version = self.events.last().map_or(1, |event| event.version);
        self.emit(version, "New TLS Certificate", hex(digest(&SHA256, leaf).as_ref()).as_bytes());
    }

    pub fn event_mut(&mut self, name: &str) -> &mut Event {
        self.events.iter_mut().find(|event| event.name == name).expect("event")
    }

    pub fn rtmr(&self) -> [[u8; 48]; 4] {
        let mut registers = [[0u8; 48]; 4];
        for event in &self.events {
            let register = &mut registers[event.imr as usize];
            let extended = digest(&SHA384, &[&register[..], &event.measured()].concat());
            register.copy_from_slice(extended.as_ref());
        }
        registers
    }

    /// The event log as an agent gives it: JSON text of an array.
    pub fn log(&self) -> Value {
        self.events.iter().map(|event| event.to_json(self.strip_digests)).collect()
    }

    /// A quote over this state.
    pub fn quote(&self, tee: &SimTee, report_data: &[u8; 64]) -> Vec<u8> {
        self.quote_by(&tee.attestation_key, &tee.pck_key, &self.chain(tee, &tee.pck_pem), report_data)
    }

    pub fn chain(&self, tee: &SimTee, pck: &str) -> String {
        format!("{pck}{}{}", tee.pck_ca_pem, tee.root_pem)
    }

    pub fn quote_by(
        &self,
        attestation: &EcdsaKeyPair,
        pck: &EcdsaKeyPair,
        chain: &str,
        report_data: &[u8; 64],
    ) -> Vec<u8> {
        quote::sealed(QuoteBody::Domain(self.header_and_body(report_data)), attestation, pck, chain)
    }

    fn header_and_body(&self, report_data: &[u8; 64]) -> Vec<u8> {
        let mut out = quote::header(if self.td15 { 5 } else { 4 }, 0x81);
        if self.td15 {
            out.extend_from_slice(&3u16.to_le_bytes());
            out.extend_from_slice(&648u32.to_le_bytes());
        }
        let tcb_svn = [[3u8, self.module_version].as_slice(), &[0; 14]].concat();
        out.extend_from_slice(&tcb_svn);
        out.extend_from_slice(&[0x22; 48]);
        out.extend_from_slice(&[0; 48 + 8]);
        out.extend_from_slice(&self.td_attributes);
        out.extend_from_slice(&[0xe7, 2, 6, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&self.mrtd);
        out.extend_from_slice(&self.mr_config_id);
        out.extend_from_slice(&[0; 96]);
        for register in self.rtmr() {
            out.extend_from_slice(&register);
        }
        out.extend_from_slice(report_data);
        if self.td15 {
            out.extend_from_slice(&tcb_svn);
            out.extend_from_slice(&self.mr_service_td);
        }
        out
    }

    /// A policy that this guest satisfies, pointing at `pccs`.
    pub fn policy(&self, pccs: &str) -> Value {
        let rtmr = self.rtmr();
        json!({
            "type": "dstack_tdx",
            "expected_bootchain": {"mrtd": hex(&self.mrtd), "rtmr0": hex(&rtmr[0]), "rtmr1": hex(&rtmr[1]), "rtmr2": hex(&rtmr[2])},
            "os_image_hash": hex(&OS_IMAGE_HASH),
            "app_compose": APP_COMPOSE,
            "pccs_url": pccs,
            "cache_collateral": true,
            "allow_simulated": true,
        })
    }
}

impl Event {
    fn measured(&self) -> [u8; 48] {
        self.digest.unwrap_or_else(|| {
            let content = match self.version {
                2 => self.preimage().into_bytes(),
                _ => [&RUNTIME_EVENT.to_le_bytes()[..], b":", self.name.as_bytes(), b":", &self.payload].concat(),
            };
            digest(&SHA384, &content).as_ref().try_into().expect("48 bytes")
        })
    }

    fn preimage(&self) -> String {
        format!(
            r#"{{"name":{},"payload":"{}","type":{RUNTIME_EVENT}}}"#,
            Value::from(self.name.as_str()),
            hex(&self.payload)
        )
    }

    pub fn to_json(&self, strip: bool) -> Value {
        let digest = if strip && self.imr == 3 { String::new() } else { hex(&self.measured()) };
        let mut event = json!({
            "imr": self.imr, "event_type": self.event_type, "digest": digest,
            "event": self.name, "event_payload": hex(&self.payload),
        });
        if self.version == 2 && self.imr == 3 {
            event["version"] = 2.into();
            event["preimage"] = hex(self.preimage().as_bytes()).into();
        }
        event
    }
}

/// `SHA-512(nonce || exporter)`.
pub fn report_data(nonce: &[u8], exporter: &[u8]) -> [u8; 64] {
    digest(&SHA512, &[nonce, exporter].concat()).as_ref().try_into().expect("64 bytes")
}

/// The answer of `POST /tdx_quote` with everything that servers put into it.
pub fn answer(quote: &[u8], log: &Value) -> Value {
    json!({
        "success": true,
        "quote": {"quote": hex(quote), "event_log": log.to_string(), "report_data": "", "vm_config": "{}"},
        "tcb_info": null, "timestamp": "0", "quote_type": "tdx", "error": null,
    })
}
