//! Boot logs as firmware writes them, and guests that have booted so.

use aws_lc_rs::digest::{SHA384, digest};

use crate::Guest;
use crate::guest::Event;

pub const SHA_256: u16 = 0x000b;
pub const SHA_384: u16 = 0x000c;
pub const NO_ACTION: u32 = 3;

/// An event of the log. Register 1 is RTMR0, and so on.
#[derive(Clone, Debug)]
pub struct BootEvent {
    pub register: u32,
    pub event_type: u32,
    /// By algorithm.
    pub digests: Vec<(u16, Vec<u8>)>,
    pub data: Vec<u8>,
    /// What the log says of their numbers, if that is not the truth.
    pub count: Option<u32>,
    pub size: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct Log {
    /// With the lengths of their digests.
    pub algorithms: Vec<(u16, u16)>,
    pub events: Vec<BootEvent>,
    /// What follows the last event.
    pub padding: Vec<u8>,
}

impl BootEvent {
    pub fn new(register: u32, event_type: u32, data: &[u8]) -> BootEvent {
        let digests = vec![(SHA_384, digest(&SHA384, data).as_ref().to_vec())];
        BootEvent { register, event_type, digests, data: data.to_vec(), count: None, size: None }
    }

    /// The digest that is extended.
    pub fn extended(&self) -> [u8; 48] {
        let found = self.digests.iter().find(|(algorithm, _)| *algorithm == SHA_384).expect("SHA-384");
        found.1.as_slice().try_into().expect("48 bytes")
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = [self.register.to_le_bytes(), self.event_type.to_le_bytes()].concat();
        out.extend(self.count.unwrap_or(self.digests.len() as u32).to_le_bytes());
        for (algorithm, digest) in &self.digests {
            out.extend(algorithm.to_le_bytes());
            out.extend(digest);
        }
        out.extend(self.size.unwrap_or(self.data.len() as u32).to_le_bytes());
        out.extend(&self.data);
        out
    }
}

impl Default for Log {
    fn default() -> Self {
        Log::booted()
    }
}

impl Log {
    /// Firmware, its variables, boot loader, kernel and command line; one event that is for readers only.
    pub fn booted() -> Log {
        let events = [
            (1, 0x8000_000a, &b"firmware volume"[..]),
            (1, NO_ACTION, b"startup"),
            (1, 0x8000_0001, b"SecureBoot"),
            (1, 4, &[0; 4]),
            (2, 0x8000_0003, b"boot loader"),
            (2, 0x8000_0007, b"Calling EFI Application from Boot Option"),
            (2, 4, &[0; 4]),
            (3, 6, b"kernel and initrd"),
            (3, 6, b"command line"),
        ];
        let events = events.into_iter().map(|(register, kind, data)| BootEvent::new(register, kind, data)).collect();
        Log { algorithms: vec![(SHA_384, 48)], events, padding: vec![0xff; 4096] }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut inner = b"Spec ID Event03\0".to_vec();
        inner.extend([0, 0, 0, 0, 0, 2, 0, 2]);
        inner.extend((self.algorithms.len() as u32).to_le_bytes());
        for (algorithm, size) in &self.algorithms {
            inner.extend([algorithm.to_le_bytes(), size.to_le_bytes()].concat());
        }
        inner.push(0);
        let mut out = [1u32.to_le_bytes(), NO_ACTION.to_le_bytes()].concat();
        out.extend([0; 20]);
        out.extend((inner.len() as u32).to_le_bytes());
        out.extend(inner);
        self.events.iter().for_each(|event| out.extend(event.bytes()));
        out.extend(&self.padding);
        out
    }

    /// The digests that were extended into a register, RTMR0 being 0.
    pub fn extended(&self, register: u32) -> Vec<[u8; 48]> {
        let events = self.events.iter().filter(|event| event.register == register + 1 && event.event_type != NO_ACTION);
        events.map(BootEvent::extended).collect()
    }

    /// A guest whose registers are what this log says.
    pub fn guest(&self) -> Guest {
        let mut guest = Guest::booted(2);
        guest.events.clear();
        for imr in 0..4 {
            let event = |digest| Event {
                imr,
                event_type: 4,
                name: String::new(),
                payload: Vec::new(),
                version: 1,
                digest: Some(digest),
            };
            guest.events.extend(self.extended(imr).into_iter().map(event));
        }
        guest
    }
}
