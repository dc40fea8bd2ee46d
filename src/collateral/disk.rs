//! The verifier's documents on disk: one file each, so that a fresh process neither asks the vendor again nor forgets what it has seen
//! (a document older than that is a roll-back). Contents are as untrusted as any source: signatures are checked on each use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::bundle::{object_json, read_entry};
use super::object::{Key, Object, Window};
use super::{Verifier, lock};
use crate::error::{Error, Phase, Result};
use crate::log;

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

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.json", key.name().replace('/', "-")))
    }

    /// Writes a document that took part in a quote that verified. Failing to is no reason to refuse a server: it is logged.
    pub fn keep(&self, key: &Key, object: &Object, seen: Window) {
        if let Err(error) = self.write(key, object, seen) {
            log::emit(log::WARNING, || format!("collateral {}: not kept on disk: {error}", key.name()));
        }
    }

    fn write(&self, key: &Key, object: &Object, seen: Window) -> io::Result<()> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut entry = object_json(&key.name(), object);
        entry["seen"] = json!({"issued": seen.issued, "number": seen.number});
        let path = self.path(key);
        // A name of its own for each writer, then a rename: readers find the old document or the new one, never half of one.
        let unique = format!("tmp-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let temporary = path.with_extension(unique);
        fs::write(&temporary, entry.to_string())?;
        fs::rename(&temporary, &path).inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
    }
}

impl Verifier {
    /// Takes what an earlier process kept. Files that cannot be read are skipped, and logged.
    pub(super) fn load(&self, disk: &Disk) -> Result<()> {
        let entries = fs::read_dir(&disk.folder);
        let entries = entries.map_err(|error| Error::from_io(error, Phase::Call).context(disk.folder.display()))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let loaded = fs::read(&path).map_err(|error| error.to_string()).and_then(|text| self.take(&text));
            if let Err(why) = loaded {
                log::emit(log::WARNING, || format!("{}: skipped: {why}", path.display()));
            }
        }
        Ok(())
    }

    fn take(&self, text: &[u8]) -> std::result::Result<(), String> {
        let entry: serde_json::Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let (key, object) = read_entry(&entry)?;
        let number = |field: &str| entry["seen"][field].as_u64().unwrap_or(0);
        let shelf = self.shelf(&key);
        let mut state = lock(&shelf.state);
        state.seen = Some(Window { issued: number("issued"), number: number("number"), ..object.window });
        state.object = Some(object);
        Ok(())
    }
}
