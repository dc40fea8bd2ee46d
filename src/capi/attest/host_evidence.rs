//! Evidence of this side that the host makes, by a function of its own.

use std::ffi::c_void;
use std::sync::Arc;

use crate::attest::Tee;
use crate::attester::{HostDevices, HostFunction, Provider};
use crate::capi::base::arguments::{Owned, c_text, text};
use crate::capi::base::bytes::atls_buf;
use crate::capi::base::handle::take;
use crate::capi::base::status::{ATLS_OK, atls_status};
use crate::error::{Error, Phase, Result, Status};
use crate::io::turn;

/// Gets a quote over `report_data` (64 bytes). If it returns OK, `*evidence` is the JSON text of a guest agent's answer,
/// `{"quote":"<hex>","event_log":"<JSON>"}`, without `event_log` if the machine is not a dstack guest; the library frees it. Any other status means
/// that there is no quote. Runs on a thread of the library, one call at a time for each configuration; may block.
pub type atls_quote_fn = Option<
    unsafe extern "C" fn(user_data: *mut c_void, report_data: *const u8, evidence: *mut *mut atls_buf) -> atls_status,
>;

/// Makes evidence that is bound to `binder` (64 bytes); docs/protocol.md says where evidence of each kind holds it. If it returns OK, `*evidence` is
/// the JSON text of the evidence object of that kind; the library frees it. Any other status means that there is no evidence.
/// Runs on a thread of the library, one call at a time for each configuration and kind; may block.
/// `fresh`: all of it must be made now, even if that is slow; otherwise what was signed earlier for this machine may be part of it.
pub type atls_evidence_fn = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        binder: *const u8,
        fresh: bool,
        evidence: *mut *mut atls_buf,
    ) -> atls_status,
>;

/// Makes evidence of devices beside the machine over `nonce` (32 bytes), which each device must put into what it signs. If it returns OK, `*evidence` is the JSON
/// text of the list of devices that docs/protocol.md has for the kind; the library frees it. Any other status means that there is no evidence.
/// Runs on a thread of the library, one call at a time for each source; may block.
pub type atls_attached_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, nonce: *const u8, evidence: *mut *mut atls_buf) -> atls_status>;

/// The host's function.
enum Ask {
    Quote(unsafe extern "C" fn(*mut c_void, *const u8, *mut *mut atls_buf) -> atls_status),
    Evidence(unsafe extern "C" fn(*mut c_void, *const u8, bool, *mut *mut atls_buf) -> atls_status),
}

/// The same with what it wants back.
struct Callback {
    ask: Ask,
    kept: HostData,
}

pub(in crate::capi) struct HostData {
    pub(in crate::capi) user_data: *mut c_void,
    pub(in crate::capi) drop: Option<unsafe extern "C" fn(*mut c_void)>,
}

// SAFETY: `user_data` is only handed back to the host's own functions, and the header tells on which threads they run.
unsafe impl Send for HostData {}
// SAFETY: as above.
unsafe impl Sync for HostData {}

impl Drop for HostData {
    fn drop(&mut self) {
        if let Some(drop) = self.drop {
            // SAFETY: called once, after the last use.
            turn::outside(|| unsafe { drop(self.user_data) });
        }
    }
}

pub(super) fn quotes(ask: atls_quote_fn, kept: HostData) -> Result<Arc<dyn Provider>> {
    let ask = ask.ok_or_else(|| Error::new(Status::NullArgument, "quote is NULL"))?;
    Ok(provider(Tee::Tdx, Callback { ask: Ask::Quote(ask), kept }))
}

pub(super) fn evidence(tee: c_text, ask: atls_evidence_fn, kept: HostData) -> Result<Arc<dyn Provider>> {
    let tee = kind(tee)?;
    let ask = ask.ok_or_else(|| Error::new(Status::NullArgument, "evidence is NULL"))?;
    Ok(provider(tee, Callback { ask: Ask::Evidence(ask), kept }))
}

pub(super) fn devices(tee: c_text, ask: atls_attached_fn, kept: HostData) -> Result<(Tee, HostDevices)> {
    let name = text(tee, "tee")?;
    let tee = Tee::from_name(name).filter(|kind| kind.attaches());
    let tee = tee.ok_or_else(|| Error::new(Status::InvalidArgument, format!("tee is {name:?}, and may be nvidia")))?;
    let ask = ask.ok_or_else(|| Error::new(Status::NullArgument, "evidence is NULL"))?;
    let callback = Callback { ask: Ask::Quote(ask), kept };
    Ok((tee, Arc::new(move |nonce| callback.call(nonce, false))))
}

/// A kind of evidence that a binder can name.
pub(in crate::capi) fn kind(name: c_text) -> Result<Tee> {
    let name = text(name, "tee")?;
    Tee::from_name(name).filter(|kind| !kind.attaches()).ok_or_else(|| {
        let known: Vec<_> = Tee::alone().iter().map(|kind| kind.name()).collect();
        Error::new(Status::InvalidArgument, format!("tee is {name:?}, and may be one of {}", known.join(", ")))
    })
}

fn provider(tee: Tee, callback: Callback) -> Arc<dyn Provider> {
    Arc::new(HostFunction::new(tee, Arc::new(move |binder, fresh| callback.call(binder, fresh))))
}

impl Callback {
    /// `input`: as long as the function's contract says.
    fn call<const N: usize>(&self, input: &[u8; N], fresh: bool) -> Result<Vec<u8>> {
        let none = |why: String| Error::new(Status::NoEvidence, why).phase(Phase::Evidence);
        let mut made = std::ptr::null_mut();
        let (user_data, input) = (self.kept.user_data, input.as_ptr());
        // SAFETY: the contracts of `atls_quote_fn`, `atls_evidence_fn` and `atls_attached_fn`.
        let status = turn::outside(|| unsafe {
            match self.ask {
                Ask::Quote(ask) => ask(user_data, input, &mut made),
                Ask::Evidence(ask) => ask(user_data, input, fresh, &mut made),
            }
        });
        // SAFETY: as above.
        let made = unsafe { Owned::from_raw(made) };
        let text = take(made).map(|buf| buf.bytes.to_vec());
        match (status, text) {
            (ATLS_OK, Some(text)) => Ok(text),
            (ATLS_OK, None) => Err(none("the host's source of evidence gave nothing".into())),
            (other, _) => Err(none(format!("the host's source of evidence answers {other}"))),
        }
    }
}
