//! Evidence of Azure's confidential virtual machines: the paravisor's report and a quote from the TPM, with what the cloud's metadata service and the
//! authorities of the attestation key have to add. Touches the TPM, and the network by plain HTTP.

pub mod commands;
mod services;
mod tpm;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::Turn;
use super::provider::{EvidenceInput, Provider};
use crate::attest::Tee;
use crate::attest::azure::{HclReport, ReportType};
use crate::attest::hash::hex;
use crate::attest::tpm::nonce;
use crate::error::{Error, Phase, Result, Status};
use crate::io::sync::lock;
use crate::log;
use services::Metadata;
use tpm::{Quoted, Tpm};

/// Where Linux has the TPM, with a manager of its resources.
const USUAL_TPM: &str = "/dev/tpmrm0";
/// Where each virtual machine finds the metadata service.
const USUAL_METADATA: &str = "http://169.254.169.254";
/// A TDREPORT is the first part of where the hardware's report is.
const TD_REPORT: usize = 1024;
/// What names the chip's key in a report: its kind, the reported TCB version, the chip.
const SIGNED_BY: [Range<usize>; 3] = [0x48..0x4c, 0x180..0x188, 0x1a0..0x1e0];
/// How long certificates that could not be had are not asked for again.
const REST: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct AzureVtpm {
    tpm: PathBuf,
    metadata: Metadata,
    kind: ReportType,
    kept: Mutex<Kept>,
    turn: Turn,
    fresh_turn: Turn,
}

/// What was fetched and still fits. The lock is never held over a wait; who comes at the same time fetches the same again.
#[derive(Debug, Default)]
struct Kept {
    /// `endorsed_part` of the hardware's report, and the quote of it or the certificate of its key.
    hardware: Option<(Vec<u8>, Vec<u8>)>,
    /// The attestation key's certificate, and those above it.
    issuers: Option<(Vec<u8>, Vec<Vec<u8>>)>,
    /// When they could not be had.
    failed: Option<Instant>,
}

/// What the TPM gives.
struct Told {
    report: Vec<u8>,
    quote: Quoted,
    certificate: Option<Vec<u8>>,
}

impl AzureVtpm {
    /// `tpm`: a device, or the Unix socket of a TPM. The TPM is asked at once what kind of machine this is. Errors: InvalidArgument (no TPM, no paravisor's
    /// report in it, a URL that is none).
    pub fn at(tpm: Option<&Path>, metadata: Option<&str>) -> Result<AzureVtpm> {
        let tpm = tpm.unwrap_or(Path::new(USUAL_TPM)).to_owned();
        let metadata = Metadata::at(metadata.unwrap_or(USUAL_METADATA))?;
        let broken = |why: String| Error::new(Status::InvalidArgument, format!("{}: {why}", tpm.display()));
        let report = Tpm::open(&tpm).map_err(|error| broken(error.to_string()))?.report();
        let report = report.map_err(|error| broken(error.message))?;
        let kinds = [ReportType::Snp, ReportType::Tdx];
        let kind = kinds.into_iter().find(|kind| HclReport::read(&report, *kind).is_ok());
        match kind {
            Some(kind) => Ok(AzureVtpm {
                tpm,
                metadata,
                kind,
                kept: Mutex::default(),
                turn: Turn::default(),
                fresh_turn: Turn::default(),
            }),
            None => Err(broken("its report is neither of SEV-SNP nor of TDX".into())),
        }
    }

    /// The hardware's quote over its report, or the certificate of the key that signed that.
    async fn endorsed(&self, report: &HclReport) -> Result<Vec<u8>> {
        let about = self.endorsed_part(report);
        let kept = lock(&self.kept).hardware.clone();
        if let Some((_, made)) = kept.filter(|(of, _)| *of == about) {
            return Ok(made);
        }
        let made = match self.kind {
            ReportType::Tdx => self.metadata.quote(&report.hardware[..TD_REPORT]).await?,
            ReportType::Snp => self.metadata.chip_certificate().await?,
        };
        lock(&self.kept).hardware = Some((about, made.clone()));
        Ok(made)
    }

    /// What the quote, or the certificate, is about: the whole report, which the quote holds, or what names the chip's key, which no new report changes.
    fn endorsed_part(&self, report: &HclReport) -> Vec<u8> {
        match self.kind {
            ReportType::Tdx => report.hardware.to_vec(),
            ReportType::Snp => SIGNED_BY.iter().flat_map(|part| &report.hardware[part.clone()]).copied().collect(),
        }
    }

    /// The certificate with those above it; alone if they cannot be had, which a policy may do without.
    async fn chain(&self, certificate: Vec<u8>) -> Vec<Vec<u8>> {
        {
            let kept = lock(&self.kept);
            if let Some((_, issuers)) = kept.issuers.as_ref().filter(|(of, _)| *of == certificate) {
                return std::iter::once(certificate).chain(issuers.iter().cloned()).collect();
            }
            if kept.failed.is_some_and(|failed| failed.elapsed() < REST) {
                return vec![certificate];
            }
        }
        match services::issuers(&certificate, &self.metadata).await {
            Ok(issuers) => {
                lock(&self.kept).issuers = Some((certificate.clone(), issuers.clone()));
                std::iter::once(certificate).chain(issuers).collect()
            }
            Err(error) => {
                log::emit(log::WARNING, || {
                    format!("evidence: issuers of the TPM's certificate: {}", log::reason(&error))
                });
                lock(&self.kept).failed = Some(Instant::now());
                vec![certificate]
            }
        }
    }
}

impl Provider for AzureVtpm {
    fn tee(&self) -> Tee {
        match self.kind {
            ReportType::Snp => Tee::AzureSnp,
            ReportType::Tdx => Tee::AzureTdx,
        }
    }

    fn is_slow_when_fresh(&self) -> bool {
        true
    }

    fn evidence<'a>(&'a self, input: EvidenceInput<'a>) -> BoxFuture<'a, Result<Value>> {
        let (path, kind, binder, fresh) = (self.tpm.clone(), self.kind, *input.binder, input.fresh);
        async move {
            let turn = if fresh { &self.fresh_turn } else { &self.turn };
            let told = turn.blocking(move || ask(&path, kind, (&binder, fresh))).await??;
            let report = HclReport::read(&told.report, kind).map_err(none)?;
            let endorsed = STANDARD.encode(self.endorsed(&report).await?);
            let registers = told.quote.registers.iter().map(|(number, value)| (number.to_string(), hex(value).into()));
            let mut evidence = json!({
                "hcl_report": STANDARD.encode(&told.report),
                "tpm_quote": {
                    "message": STANDARD.encode(&told.quote.message),
                    "signature": STANDARD.encode(&told.quote.signature),
                    "pcrs": Value::Object(registers.collect::<Map<_, _>>()),
                },
            });
            let member = if kind == ReportType::Tdx { "td_quote" } else { "leaf" };
            evidence[member] = endorsed.into();
            if let Some(certificate) = told.certificate {
                let chain = self.chain(certificate).await;
                evidence["ak_certificates"] = chain.iter().map(|der| STANDARD.encode(der)).collect();
            }
            Ok(evidence)
        }
        .boxed()
    }
}

fn ask(path: &Path, kind: ReportType, (binder, fresh): (&[u8; 64], bool)) -> Result<Told> {
    let mut tpm = Tpm::open(path).map_err(|error| none(format!("{}: {error}", path.display())))?;
    let report = match fresh {
        true => tpm.fresh_report(binder, |report| whole(report, kind))?,
        false => tpm.whole_report(|report| whole(report, kind).is_some())?,
    };
    Ok(Told { report, quote: tpm.quote(&nonce(binder))?, certificate: tpm.certificate()? })
}

/// The report, unless a new one took its place while it was read.
fn whole(report: &[u8], kind: ReportType) -> Option<HclReport> {
    HclReport::read(report, kind).ok().filter(|report| report.is_whole(kind))
}

fn none(why: String) -> Error {
    Error::new(Status::NoEvidence, format!("paravisor: {why}")).phase(Phase::Evidence)
}
