//! Quotes by way of the Linux kernel: configfs-tsm (Documentation/ABI/testing/configfs-tsm-report). For machines that are no dstack guests; there is no log.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::blocking;
use super::provider::Provider;
use crate::attest::Tee;
use crate::attest::hash::hex;
use crate::error::{Error, Phase, Result, Status};

/// Where the kernel has it.
const USUAL: &str = "/sys/kernel/config/tsm/report";
/// What a TDX guest's provider is called.
const PROVIDER: &str = "tdx_guest";
/// How long a report that is busy, or not there yet, is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Clone, Debug)]
pub struct Tsm {
    folder: PathBuf,
}

impl Tsm {
    /// At `folder`, or where the kernel has it. Errors: InvalidArgument (there is none).
    pub fn at(folder: Option<&Path>) -> Result<Tsm> {
        let folder = folder.unwrap_or(Path::new(USUAL)).to_owned();
        match folder.is_dir() {
            true => Ok(Tsm { folder }),
            false => Err(Error::new(Status::InvalidArgument, format!("no configfs-tsm at {}", folder.display()))),
        }
    }

    /// In the form of a guest agent's answer. Blocks, for as long as the hardware takes. Errors: NoEvidence, Unsupported (another provider).
    pub fn quote(&self, report_data: &[u8; 64]) -> Result<Value> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let report = self.folder.join(format!("atls-{}-{number}", std::process::id()));
        fs::create_dir(&report).map_err(|error| failed("mkdir", &error))?;
        let made = read(&report, report_data);
        // The kernel takes its files away with it.
        let _ = fs::remove_dir(&report);
        made
    }
}

impl Provider for Tsm {
    fn tee(&self) -> Tee {
        Tee::Tdx
    }

    fn evidence<'a>(&'a self, report_data: &'a [u8; 64]) -> BoxFuture<'a, Result<Value>> {
        let (tsm, report_data) = (self.clone(), *report_data);
        async move { blocking(move || tsm.quote(&report_data)).await? }.boxed()
    }
}

fn read(report: &Path, report_data: &[u8; 64]) -> Result<Value> {
    let text = |name: &str| again(name, || fs::read_to_string(report.join(name)));
    let provider = text("provider")?;
    if provider.trim() != PROVIDER {
        let message = format!("configfs-tsm: provider {:?}, and only {PROVIDER} is known", provider.trim());
        return Err(Error::new(Status::Unsupported, message).phase(Phase::Evidence));
    }
    again("inblob", || fs::OpenOptions::new().write(true).open(report.join("inblob"))?.write_all(report_data))?;
    let before = text("generation")?;
    let quote = again("outblob", || match fs::read(report.join("outblob"))? {
        quote if quote.is_empty() => Err(io::ErrorKind::NotFound.into()),
        quote => Ok(quote),
    })?;
    // Somebody else has written to our report meanwhile: whose quote this is nobody knows.
    if text("generation")? != before {
        return Err(
            Error::new(Status::NoEvidence, "configfs-tsm: the report was changed meanwhile").phase(Phase::Evidence)
        );
    }
    Ok(json!({"quote": hex(&quote)}))
}

/// Tries until the kernel is ready.
fn again<T>(name: &str, mut work: impl FnMut() -> io::Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match work() {
            Ok(done) => return Ok(done),
            Err(error) => {
                let passes = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ResourceBusy);
                if !passes || begun.elapsed() > PATIENCE {
                    return Err(failed(name, &error));
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn failed(what: &str, error: &io::Error) -> Error {
    Error::new(Status::NoEvidence, format!("configfs-tsm: {what}: {error}")).phase(Phase::Evidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands for the kernel: fills in what comes to be in the folder.
    fn kernel(folder: &Path, provider: &'static str, changes: bool) {
        let folder = folder.to_owned();
        std::thread::spawn(move || {
            let report = loop {
                match fs::read_dir(&folder).map(|mut found| found.next()) {
                    Ok(Some(Ok(found))) => break found.path(),
                    Ok(_) => std::thread::sleep(Duration::from_millis(1)),
                    Err(_) => return,
                }
            };
            for (name, text) in [("provider", provider), ("generation", "1\n"), ("inblob", "")] {
                let _ = fs::write(report.join(name), text);
            }
            let asked = loop {
                match fs::read(report.join("inblob")) {
                    Ok(asked) if asked.len() == 64 => break asked,
                    Ok(_) => std::thread::sleep(PAUSE),
                    // Nobody asks: the folder is gone.
                    Err(_) => return,
                }
            };
            std::thread::sleep(Duration::from_millis(50));
            if changes {
                fs::write(report.join("generation"), "2\n").unwrap();
            }
            fs::write(report.join("outblob.new"), [b"quote of ", &asked[..]].concat()).unwrap();
            fs::rename(report.join("outblob.new"), report.join("outblob")).unwrap();
        });
    }

    fn ask(name: &str, provider: &'static str, changes: bool) -> Result<Value> {
        let folder = std::env::temp_dir().join(format!("atls-tsm-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        kernel(&folder, provider, changes);
        let told = Tsm::at(Some(&folder)).unwrap().quote(&[7; 64]);
        let _ = fs::remove_dir_all(&folder);
        told
    }

    #[test]
    fn a_quote_from_the_kernel() {
        let told = ask("good", "tdx_guest\n", false).unwrap();
        assert_eq!(told, json!({"quote": hex(&[b"quote of ", &[7u8; 64][..]].concat())}));
    }

    #[test]
    fn what_is_no_quote_of_ours() {
        assert_eq!(ask("other", "sev_guest\n", false).unwrap_err().status, Status::Unsupported);
        assert!(ask("changed", "tdx_guest\n", true).unwrap_err().message.contains("changed meanwhile"));
        assert_eq!(Tsm::at(Some(Path::new("/nowhere/at/all"))).unwrap_err().status, Status::InvalidArgument);
    }
}
