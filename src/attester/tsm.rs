//! Quotes and reports by way of the Linux kernel: configfs-tsm (Documentation/ABI/testing/configfs-tsm-report), of TDX and SEV-SNP guests; with
//! the firmware's boot log of the first. Touches files of the kernel, on a helper thread.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::Turn;
use super::boot_log;
use super::certificate_table::certificate;
use super::provider::{EvidenceInput, Provider};
use crate::attest::Tee;
use crate::attest::hash::hex;
use crate::attest::snp::{LENGTH, Report};
use crate::error::{Error, Phase, Result, Status};

/// Where the kernel has it.
const USUAL: &str = "/sys/kernel/config/tsm/report";
/// What the kernel calls the provider of a TDX guest, and of an SEV-SNP guest.
const TDX: &str = "tdx_guest";
const SNP: &str = "sev_guest";
/// How long it may take until a report's files are there. The kernel makes them with the folder.
const PROBE: Duration = Duration::from_millis(100);
/// Linux: what is asked for is larger than the kernel hands out.
const EFBIG: i32 = 27;
/// How long a report that is busy, or not there yet, is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Clone, Debug)]
pub struct Tsm {
    folder: PathBuf,
    tee: Tee,
    /// Where the boot log of a TDX guest is.
    boot_log: PathBuf,
    turn: Turn,
}

impl Tsm {
    /// At `folder`, or where the kernel has it. The kernel is asked what kind of guest this is. Errors: InvalidArgument (there is none).
    pub fn at(folder: Option<&Path>) -> Result<Tsm> {
        let folder = folder.unwrap_or(Path::new(USUAL)).to_owned();
        if !folder.is_dir() {
            return Err(Error::new(Status::InvalidArgument, format!("no configfs-tsm at {}", folder.display())));
        }
        let tsm = Tsm { folder, tee: Tee::Tdx, boot_log: boot_log::TABLE.into(), turn: Turn::default() };
        let provider = tsm.with_report(|report| text(report, "provider", PROBE));
        // Whatever else it is, or if it cannot be told now: the first quote says so.
        let is_snp = provider.is_ok_and(|provider| provider.trim() == SNP);
        Ok(Tsm { tee: if is_snp { Tee::Snp } else { Tee::Tdx }, ..tsm })
    }

    /// The evidence object of the guest's kind. Blocks, for as long as the hardware takes. Errors: NoEvidence, Unsupported (another provider).
    pub fn quote(&self, report_data: &[u8; 64]) -> Result<Value> {
        let mut evidence = self.with_report(|report| read(report, self.tee, report_data))?;
        if self.tee == Tee::Tdx
            && let Some(log) = boot_log::read(&self.boot_log)
        {
            evidence["ccel"] = STANDARD.encode(log).into();
        }
        Ok(evidence)
    }

    /// A report of our own for as long as `work` takes.
    fn with_report<T>(&self, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let report = self.folder.join(format!("atls-{}-{number}", std::process::id()));
        fs::create_dir(&report).map_err(|error| failed("mkdir", &error))?;
        let made = work(&report);
        // The kernel takes its files away with it.
        let _ = fs::remove_dir(&report);
        made
    }
}

impl Provider for Tsm {
    fn tee(&self) -> Tee {
        self.tee
    }

    fn evidence<'a>(&'a self, input: EvidenceInput<'a>) -> BoxFuture<'a, Result<Value>> {
        let (tsm, report_data) = (self.clone(), *input.binder);
        async move { self.turn.blocking(move || tsm.quote(&report_data)).await? }.boxed()
    }
}

fn text(report: &Path, name: &str, patience: Duration) -> Result<String> {
    again((name, patience), || fs::read_to_string(report.join(name)))
}

fn read(report: &Path, tee: Tee, report_data: &[u8; 64]) -> Result<Value> {
    let provider = text(report, "provider", PATIENCE)?;
    let expected = if tee == Tee::Snp { SNP } else { TDX };
    if provider.trim() != expected {
        let message = format!("configfs-tsm: provider {:?}, and {expected} was expected", provider.trim());
        return Err(Error::new(Status::Unsupported, message).phase(Phase::Evidence));
    }
    let write = |name: &str, data: &[u8]| {
        again((name, PATIENCE), || fs::OpenOptions::new().write(true).open(report.join(name))?.write_all(data))
    };
    if tee == Tee::Snp {
        // The least privileged level that the guest may ask for, which is its own.
        if let Ok(floor) = fs::read_to_string(report.join("privlevel_floor")) {
            write("privlevel", floor.trim().as_bytes())?;
        }
    }
    write("inblob", report_data)?;
    let before = text(report, "generation", PATIENCE)?;
    let made = again(("outblob", PATIENCE), || match fs::read(report.join("outblob"))? {
        made if made.is_empty() => Err(io::ErrorKind::NotFound.into()),
        made => Ok(made),
    })?;
    let table = if tee == Tee::Snp { certificates(report)? } else { Vec::new() };
    // Somebody else has written to our report meanwhile: whose quote this is nobody knows.
    if text(report, "generation", PATIENCE)? != before {
        return Err(none("the report was changed meanwhile".into()));
    }
    match tee {
        Tee::Snp => snp_evidence(&made, &table).map_err(none),
        _ => Ok(json!({"quote": hex(&made)})),
    }
}

/// The host's table of certificates, if it gives one that the kernel hands out.
fn certificates(report: &Path) -> Result<Vec<u8>> {
    match fs::read(report.join("auxblob")) {
        Ok(table) => Ok(table),
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(EFBIG) => Ok(Vec::new()),
        Err(error) => Err(failed("auxblob", &error)),
    }
}

fn snp_evidence(made: &[u8], table: &[u8]) -> std::result::Result<Value, String> {
    let (report, rest) =
        made.split_first_chunk::<LENGTH>().ok_or_else(|| format!("a report of {} bytes", made.len()))?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err("bytes after the report".into());
    }
    let key = Report::read(report)?.signing_key;
    let leaf = certificate(table, key).map_err(|why| format!("auxblob: {why}"))?;
    let mut evidence = json!({"report": STANDARD.encode(report)});
    if let Some(leaf) = leaf {
        evidence["leaf"] = STANDARD.encode(leaf).into();
    }
    Ok(evidence)
}

fn none(why: String) -> Error {
    Error::new(Status::NoEvidence, format!("configfs-tsm: {why}")).phase(Phase::Evidence)
}

/// Tries until the kernel is ready.
fn again<T>((name, patience): (&str, Duration), mut work: impl FnMut() -> io::Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match work() {
            Ok(done) => return Ok(done),
            Err(error) => {
                let passes = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ResourceBusy);
                if !passes || begun.elapsed() > patience {
                    return Err(failed(name, &error));
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn failed(what: &str, error: &io::Error) -> Error {
    none(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attester::certificate_table::tests::with_vcek;

    /// What the kernel makes of 64 bytes.
    type Make = fn(&[u8]) -> Vec<u8>;

    /// A kernel that is played by a thread.
    struct Kernel {
        folder: PathBuf,
    }

    impl Drop for Kernel {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    /// Fills in what comes to be in the folder: one report after another, until the folder is gone.
    fn kernel(name: &str, provider: &'static str, (make, table): (Make, Option<Vec<u8>>), changes: bool) -> Kernel {
        let folder = std::env::temp_dir().join(format!("atls-tsm-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        let played = folder.clone();
        std::thread::spawn(move || {
            let mut known: Vec<PathBuf> = Vec::new();
            loop {
                let Ok(mut found) = fs::read_dir(&played) else { return };
                let new =
                    found.find_map(|entry| entry.ok().map(|entry| entry.path()).filter(|path| !known.contains(path)));
                match new {
                    Some(report) => {
                        known.push(report.clone());
                        let table = table.clone();
                        std::thread::spawn(move || play(&report, provider, (make, table), changes));
                    }
                    None => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Kernel { folder }
    }

    fn play(report: &Path, provider: &str, (make, table): (Make, Option<Vec<u8>>), changes: bool) {
        for (name, text) in [
            ("privlevel_floor", "2\n"),
            ("privlevel", ""),
            ("generation", "1\n"),
            ("inblob", ""),
            ("provider", provider),
        ] {
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
            let _ = fs::write(report.join("generation"), "2\n");
        }
        if let Some(table) = table {
            let _ = fs::write(report.join("auxblob"), table);
        }
        let level = fs::read_to_string(report.join("privlevel")).unwrap_or_default();
        let mut made = make(&asked);
        if level == "2" && made.len() >= LENGTH {
            made[0x30] = 2;
        }
        let _ = fs::write(report.join("outblob.new"), made);
        let _ = fs::rename(report.join("outblob.new"), report.join("outblob"));
    }

    fn quote_of(asked: &[u8]) -> Vec<u8> {
        [b"quote of ", asked].concat()
    }

    fn report_of(asked: &[u8]) -> Vec<u8> {
        let mut raw = vec![0; LENGTH];
        (raw[0], raw[0x0a], raw[0x34]) = (2, 2, 1);
        raw[0x50..0x90].copy_from_slice(asked);
        raw
    }

    fn ask(name: &str, provider: &'static str, makes: (Make, Option<Vec<u8>>), changes: bool) -> (Tee, Result<Value>) {
        let kernel = kernel(name, provider, makes, changes);
        let tsm = Tsm::at(Some(&kernel.folder)).unwrap();
        (tsm.tee(), tsm.quote(&[7; 64]))
    }

    #[test]
    fn a_quote_from_the_kernel() {
        let (tee, told) = ask("good", "tdx_guest\n", (quote_of, None), false);
        assert_eq!((tee, told.unwrap()), (Tee::Tdx, json!({"quote": hex(&[b"quote of ", &[7u8; 64][..]].concat())})));
    }

    #[test]
    fn a_boot_log_goes_with_the_quote_without_its_padding() {
        let kernel = kernel("ccel", "tdx_guest\n", (quote_of, None), false);
        let table = std::env::temp_dir().join(format!("atls-ccel-{}", std::process::id()));
        let tsm = Tsm { boot_log: table.clone(), ..Tsm::at(Some(&kernel.folder)).unwrap() };
        let shown = |table_bytes: Option<Vec<u8>>| {
            let _ = fs::remove_file(&table);
            if let Some(bytes) = table_bytes {
                fs::write(&table, bytes).unwrap();
            }
            tsm.quote(&[7; 64]).unwrap().get("ccel").cloned()
        };
        let log = crate::attest::ccel::sample();
        for padding in [0, 0xff] {
            let padded = [log.clone(), vec![padding; 70_000]].concat();
            assert_eq!(shown(Some(padded)), Some(json!(STANDARD.encode(&log))), "{padding}");
        }
        assert_eq!(shown(Some(log.clone())), Some(json!(STANDARD.encode(&log))));
        assert_eq!((shown(None), shown(Some(b"no log".to_vec()))), (None, None));
        let _ = fs::remove_file(&table);
    }

    #[test]
    fn what_is_no_quote_of_ours() {
        let (tee, told) = ask("other", "arm_cca_guest\n", (quote_of, None), false);
        assert_eq!((tee, told.unwrap_err().status), (Tee::Tdx, Status::Unsupported));
        for provider in ["tdx_guest\n", "sev_guest\n"] {
            let (_, told) = ask(&provider[..3], provider, (report_of, None), true);
            assert!(told.unwrap_err().message.contains("changed meanwhile"));
        }
        assert_eq!(Tsm::at(Some(Path::new("/nowhere/at/all"))).unwrap_err().status, Status::InvalidArgument);
    }

    #[test]
    fn a_report_of_an_snp_guest_with_its_certificate() {
        let mut expected = report_of(&[7; 64]);
        expected[0x30] = 2;
        let table = with_vcek(b"the certificate");
        for (name, table, leaf) in [("aux", Some(table), Some("the certificate")), ("none", None, None)] {
            let (tee, told) = ask(name, "sev_guest\n", (report_of, table), false);
            let told = told.unwrap();
            assert_eq!((tee, &told["report"]), (Tee::Snp, &json!(STANDARD.encode(&expected))));
            assert_eq!(told.get("leaf"), leaf.map(|leaf| json!(STANDARD.encode(leaf))).as_ref());
        }
        let padded: Make = |asked| [report_of(asked), vec![0; 64]].concat();
        assert!(ask("padded", "sev_guest\n", (padded, Some(Vec::new())), false).1.is_ok());
    }

    #[test]
    fn what_is_no_report_of_an_snp_guest() {
        let longer: Make = |asked| [report_of(asked), vec![1]].concat();
        let shorter: Make = |asked| report_of(asked)[..LENGTH - 1].to_vec();
        let masked: Make = |asked| {
            let mut raw = report_of(asked);
            raw[0x48] = 2;
            raw
        };
        for (name, make, table, why) in [
            ("longer", longer, None, "bytes after the report"),
            ("shorter", shorter, None, "1183 bytes"),
            ("masked", masked, None, "masked"),
            ("table", report_of as Make, Some(vec![1; 24]), "auxblob: no end"),
        ] {
            let error = ask(name, "sev_guest\n", (make, table), false).1.unwrap_err();
            assert!(error.status == Status::NoEvidence && error.message.contains(why), "{error:?}");
        }
    }
}
