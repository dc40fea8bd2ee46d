//! A store's documents on disk: one file for each document and source, so that a fresh process neither asks the vendor again nor forgets what it
//! has seen (a document older than that is a roll-back). May touch the disk and waits for it, so not on a thread that drives connections.
//!
//! A file is as untrusted as any source: its document counts only if it is authentic, and one that is damaged is as if it were not there. Invariant, over
//! all processes that share the folder: a document is never replaced by an older one. Whoever writes holds `lock`, and looks at what is there first.
//! Readers need no lock: files are replaced whole.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bundle::{object_json, read_entry};
use super::kept_document::{DocumentSource, KeptDocument};
use crate::attest::DocumentId;
use crate::attest::hash::{hex, sha256};
use crate::error::{Error, Phase, Result};
use crate::log;

/// Bytes of a file: the largest document in hexadecimal, and its chain.
const LARGEST: u64 = 4 << 20;
/// Files that are looked at.
const MOST: usize = 4096;
/// Bytes of what is loaded. A vendor's documents for a kind of machine have some 40 KiB.
const ROOM: usize = 128 << 20;
/// A process that keeps the lock for longer is stuck; then nothing is written.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// The same document is written again once it was fetched so many seconds later.
const SAME_S: u64 = 600;

#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Makes the folder where it is missing.
    pub fn open(folder: &Path) -> Result<Disk> {
        let done = fs::create_dir_all(folder);
        done.map_err(|error| Error::from_io(error, Phase::Call).context(folder.display()))?;
        Ok(Disk { folder: folder.to_owned() })
    }

    /// What is there. Files that cannot be read are skipped, and logged; leavings of a process that died while it wrote are removed.
    pub fn load(&self) -> Result<Vec<(DocumentId, KeptDocument)>> {
        self.load_up_to(ROOM)
    }

    fn load_up_to(&self, mut room: usize) -> Result<Vec<(DocumentId, KeptDocument)>> {
        let entries = fs::read_dir(&self.folder);
        let entries = entries.map_err(|error| Error::from_io(error, Phase::Call).context(self.folder.display()))?;
        let mut loaded = Vec::new();
        for entry in entries.flatten().take(MOST) {
            let path = entry.path();
            let ends = |end: &str| path.as_os_str().as_encoded_bytes().ends_with(end.as_bytes());
            if ends(".json") {
                match read(&path).and_then(|read| fits(read, &mut room)) {
                    Ok(read) => loaded.push(read),
                    Err(why) => log::emit(log::WARNING, || format!("collateral: {}: skipped: {why}", path.display())),
                }
            } else if ends(".json.tmp") && self.lock(Duration::ZERO).is_ok() {
                let _ = fs::remove_file(&path);
            }
        }
        Ok(loaded)
    }

    /// Writes an authentic document, unless one that is newer and `is_authentic` is there: then that is returned.
    pub fn keep(
        &self,
        id: &DocumentId,
        object: &KeptDocument,
        is_authentic: impl Fn(&KeptDocument) -> bool,
    ) -> io::Result<Option<KeptDocument>> {
        let path = self.path(id, &object.source);
        let _lock = self.lock(LOCK_WAIT)?;
        let there =
            read(&path).ok().filter(|(of, there)| of == id && there.source == object.source && is_authentic(there));
        if let Some((_, there)) = there {
            if object.window.is_older_than(&there.window) {
                return Ok(Some(there));
            }
            if object.body == there.body && object.fetched < there.fetched.saturating_add(SAME_S) {
                return Ok(None);
            }
        }
        let mut entry = object_json(id, object);
        entry["source"] = object.source.name().into();
        entry["sha256"] = sum(&entry).into();
        let temporary = path.with_extension("json.tmp");
        let written = write(&temporary, entry.to_string().as_bytes()).and_then(|()| fs::rename(&temporary, &path));
        written.map(|()| None).inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
    }

    fn path(&self, id: &DocumentId, source: &DocumentSource) -> PathBuf {
        let tag = hex(&sha256(source.name().as_bytes())[..8]);
        self.folder.join(format!("{}.{tag}.json", id.to_string().replace('/', "-")))
    }

    /// Alone among processes and threads, until the file is dropped.
    fn lock(&self, wait: Duration) -> io::Result<File> {
        let file =
            open(&self.folder.join("lock"), File::options().create(true).truncate(false).read(true).write(true))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if begun.elapsed() < wait => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Regular files only, and without waiting: to open a FIFO may take for ever.
fn open(path: &Path, how: &mut fs::OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(how, libc::O_NONBLOCK);
    let file = how.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file")),
    }
}

/// Nobody has so many documents that they do not fit; a folder that others write to may hold anything.
fn fits(read: (DocumentId, KeptDocument), room: &mut usize) -> std::result::Result<(DocumentId, KeptDocument), String> {
    let left = room.checked_sub(read.1.body.len() + read.1.chain.len());
    *room = left.ok_or("more than is loaded of one folder")?;
    Ok(read)
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    // Only leavings can be there: the lock is held.
    let _ = fs::remove_file(path);
    let mut file = File::options().write(true).create_new(true).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn read(path: &Path) -> std::result::Result<(DocumentId, KeptDocument), String> {
    let mut text = Vec::new();
    let file = open(path, File::options().read(true)).map_err(|error| error.to_string())?;
    file.take(LARGEST).read_to_end(&mut text).map_err(|error| error.to_string())?;
    let entry: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if entry["sha256"] != sum(&entry) {
        return Err("damaged".into());
    }
    let source = DocumentSource::from_name(entry["source"].as_str().unwrap_or_default());
    read_entry(&entry, source)
}

/// Over all that the document's signature does not cover as well.
fn sum(entry: &Value) -> String {
    let covered = json!([entry["name"], entry["source"], entry["fetched"], entry["chain"], entry["body"]]);
    hex(&sha256(covered.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collateral::vendor::{from_name, module};

    #[test]
    fn a_folder_may_hold_more_than_is_loaded() {
        let folder = std::env::temp_dir().join(format!("atls-disk-{}", std::process::id()));
        let disk = Disk::open(&folder).unwrap();
        let id = from_name("qe_identity/standard").unwrap();
        let dates = r#""issueDate":"2025-01-01T00:00:00Z","nextUpdate":"2025-02-01T00:00:00Z""#;
        let body = format!(
            r#"{{"enclaveIdentity":{{{dates},"tcbEvaluationDataNumber":1}},"signature":"","x":"{}"}}"#,
            "x".repeat(9000)
        );
        for source in ["http://a", "http://b", "http://c"] {
            let chain = "-----BEGIN CERTIFICATE-----".to_owned();
            let (body, window) = module(id.vendor).read(&id, body.clone().into_bytes(), &chain).unwrap();
            let object = KeptDocument {
                body,
                chain,
                window,
                fetched: 1,
                source: DocumentSource::from_name(source),
                derived: Default::default(),
            };
            assert!(disk.keep(&id, &object, |_| true).unwrap().is_none());
        }
        let loaded = |room| disk.load_up_to(room).unwrap().len();
        assert_eq!((loaded(ROOM), loaded(25_000), loaded(9000)), (3, 2, 0));
        fs::remove_dir_all(&folder).unwrap();
    }
}
