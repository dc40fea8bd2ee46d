//! What verifiers keep on disk, through the C ABI: for the next process, and beside other ones.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::ptr::null_mut;
use support::abi::*;

use serde_json::{Value, json};
use support::{Refusal, Stream, World};

/// A folder of the test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("atls-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    /// Names of the documents' files.
    fn entries(&self) -> Vec<PathBuf> {
        let paths = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
    }

    /// Nothing else may be there but the lock.
    fn is_clean(&self) -> bool {
        fs::read_dir(&self.0).unwrap().count() == self.entries().len() + 1
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Each verifier stands for a process.
fn verifier(root: &[u8], folder: &Path) -> *mut atls_verifier {
    let path = CString::new(folder.to_str().unwrap()).unwrap();
    unsafe {
        let mut config = null_mut();
        assert_eq!(atls_verifier_config_new(&mut config, null_mut()), 0);
        assert_eq!(
            atls_verifier_config_set_simulated_root(
                config,
                atls_bytes { ptr: root.as_ptr(), len: root.len() },
                null_mut()
            ),
            0
        );
        assert_eq!(atls_verifier_config_set_disk_cache(config, path.as_ptr(), null_mut()), 0);
        let mut verifier = null_mut();
        assert_eq!(atls_verifier_new(config, &mut verifier, null_mut()), 0);
        atls_verifier_config_free(config);
        verifier
    }
}

fn attempt(world: &World, folder: &Folder, policy: &Value) -> Result<Stream, Refusal> {
    let verifier = verifier(&world.tee.root_der, &folder.0);
    let done =
        support::open(world.server.port(), policy, verifier, |config| support::add_root(config, &world.tee.web_ca_pem));
    unsafe { atls_verifier_free(verifier) };
    done
}

/// Asks the source each time, and wants at least this of what is used.
fn uncached(policy: &Value, least: u64) -> Value {
    let mut policy = policy.clone();
    policy["cache_collateral"] = false.into();
    policy["tcb"] = json!({"min_evaluation_number": least});
    policy
}

#[test]
fn the_next_process_is_served_and_does_not_go_back() {
    let (world, folder) = (World::honest(), Folder::new("next"));
    assert!(attempt(&world, &folder, &world.policy).is_ok());
    assert_eq!((world.pccs.hits(""), folder.entries().len(), folder.is_clean()), (4, 4, true));
    assert!(attempt(&world, &folder, &world.policy).is_ok());
    assert_eq!(world.pccs.hits(""), 4, "from disk");
    world.pccs.set(|knobs| knobs.issue.evaluation_number = 18);
    assert!(attempt(&world, &folder, &uncached(&world.policy, 19)).is_ok(), "what was seen is used");
    assert!(attempt(&world, &folder, &uncached(&world.policy, 19)).is_ok(), "and was not overwritten");
}

#[test]
fn a_damaged_entry_is_as_if_it_were_not_there_and_is_replaced() {
    let (world, folder) = (World::honest(), Folder::new("damaged"));
    assert!(attempt(&world, &folder, &world.policy).is_ok());
    let texts: Vec<(PathBuf, Vec<u8>)> =
        folder.entries().into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    // Every kind of place in a file: names, digits of dates and of documents, the chain, the sum; and what cuts it short.
    let steps = if std::env::var_os("ATLS_TEST_SLOW").is_some() { 4 } else { 12 };
    for round in 0..steps {
        for (path, text) in &texts {
            let mut text = text.clone();
            match round {
                0 => text.clear(),
                1 => text.truncate(text.len() / 2),
                2 => drop(text.splice(.., b"{}".iter().copied())),
                _ => {
                    let at = (text.len() - 1) * (round - 2) / (steps - 2);
                    text[at] = if text[at] == b'1' { b'2' } else { b'1' };
                }
            }
            fs::write(path, text).unwrap();
        }
        let hits = world.pccs.hits("");
        let done = attempt(&world, &folder, &world.policy);
        assert!(done.is_ok(), "{round}: {:?}", done.err());
        assert_eq!(world.pccs.hits(""), hits + 4, "{round}");
        assert!(attempt(&world, &folder, &world.policy).is_ok());
        assert_eq!((world.pccs.hits(""), folder.is_clean()), (hits + 4, true), "{round}: replaced");
    }
}

#[test]
fn an_entry_that_the_vendor_did_not_sign_does_not_count() {
    // Whole, well-formed and newer, but somebody else's.
    let (world, other) = (World::honest(), World::honest());
    other.pccs.set(|knobs| (knobs.issue.evaluation_number, knobs.issue.crl_number) = (25, 25));
    let (folder, strange) = (Folder::new("own"), Folder::new("strange"));
    assert!(attempt(&world, &folder, &world.policy).is_ok() && attempt(&other, &strange, &other.policy).is_ok());
    for path in strange.entries() {
        fs::copy(&path, folder.0.join(path.file_name().unwrap())).unwrap();
    }
    // Without sources of its own this policy takes what is there.
    let mut policy = world.policy.clone();
    policy.as_object_mut().unwrap().remove("pccs_url");
    let done = attempt(&world, &folder, &policy);
    assert!(done.is_ok(), "{:?}", done.err());
}

#[cfg(unix)]
#[test]
fn what_is_no_file_does_not_hang_and_nothing_is_left_of_a_write_that_failed() {
    let (world, folder) = (World::honest(), Folder::new("odd"));
    assert!(attempt(&world, &folder, &world.policy).is_ok());
    let fifo = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    let entries = folder.entries();
    // FIFOs in the place of two entries, a folder in that of another: the first are replaced, the last cannot be.
    for (index, path) in entries.iter().enumerate() {
        fs::remove_file(path).unwrap();
        match index {
            0 | 1 => fifo(path),
            2 => fs::create_dir_all(path.join("x")).unwrap(),
            _ => {}
        }
    }
    fifo(&folder.0.join("other.json"));
    let done = attempt(&world, &folder, &world.policy);
    assert!(done.is_ok(), "{:?}", done.err());
    let is_file: Vec<bool> = entries.iter().map(|path| path.is_file()).collect();
    assert_eq!((is_file, folder.is_clean()), (vec![true, true, false, true], true));
    // Leavings of a process that died are swept; and a lock that is none keeps from writing, not from connecting.
    fs::write(folder.0.join("tcb_info.json.tmp"), "half").unwrap();
    assert!(attempt(&world, &folder, &world.policy).is_ok() && folder.is_clean());
    fs::remove_file(folder.0.join("lock")).unwrap();
    fifo(&folder.0.join("lock"));
    fs::remove_file(&entries[3]).unwrap();
    let done = attempt(&world, &folder, &world.policy);
    assert!(done.is_ok(), "{:?}", done.err());
    assert!(!entries[3].exists() && folder.is_clean());
}

const CHILD: &str = "ATLS_TEST_CHILD";

/// Another process that works on `folder` under `policy`: connects `rounds` times, each time with what it is given.
fn process(world: &World, folder: &Folder, policy: &Value, rounds: u32) -> Child {
    fs::create_dir_all(&folder.0).unwrap();
    let parameters = json!({
        "port": world.server.port(), "policy": policy, "rounds": rounds, "folder": folder.0.to_str(),
        "root": world.tee.root_der, "ca": world.tee.web_ca_pem});
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--include-ignored"]).env(CHILD, parameters.to_string());
    command.stdout(std::process::Stdio::null()).spawn().unwrap()
}

/// No test: what `process` starts.
#[test]
#[ignore = "the other process of tests that need one"]
fn child() {
    let Ok(parameters) = std::env::var(CHILD) else { return };
    let parameters: Value = serde_json::from_str(&parameters).unwrap();
    let root: Vec<u8> = serde_json::from_value(parameters["root"].clone()).unwrap();
    let verifier = verifier(&root, Path::new(parameters["folder"].as_str().unwrap()));
    for round in 0..parameters["rounds"].as_u64().unwrap() {
        let port = parameters["port"].as_u64().unwrap() as u16;
        let ca = parameters["ca"].as_str().unwrap();
        let done = support::open(port, &parameters["policy"], verifier, |config| support::add_root(config, ca));
        assert!(done.is_ok(), "{round}: {:?}", done.err());
    }
    unsafe { atls_verifier_free(verifier) };
}

#[test]
fn processes_that_share_a_folder_do_not_take_each_other_back() {
    let (world, folder) = (World::honest(), Folder::new("shared"));
    // Their source answers with the older and the newer one in turn, so that each time one of them has seen less.
    let rounds = if std::env::var_os("ATLS_TEST_SLOW").is_some() { 10 } else { 40 };
    let policy = uncached(&world.policy, 18);
    let mut children: Vec<Child> = (0..2).map(|_| process(&world, &folder, &policy, rounds)).collect();
    let mut number = 18;
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        number = if number == 18 { 30 } else { 18 };
        world.pccs.set(|knobs| knobs.issue.evaluation_number = number);
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
    assert!(children.into_iter().all(|mut child| child.wait().unwrap().success()));
    assert!(folder.is_clean());
    world.pccs.set(|knobs| knobs.issue.evaluation_number = 18);
    let done = attempt(&world, &folder, &uncached(&world.policy, 30));
    assert!(done.is_ok(), "{:?}", done.err());
}

#[test]
fn a_running_process_does_not_go_back_behind_what_another_one_has_seen() {
    let (world, folder) = (World::honest(), Folder::new("running"));
    world.pccs.set(|knobs| knobs.issue.evaluation_number = 18);
    let early = verifier(&world.tee.root_der, &folder.0);
    let connect = |least: u64| {
        let add_root = |config| support::add_root(config, &world.tee.web_ca_pem);
        support::open(world.server.port(), &uncached(&world.policy, least), early, add_root)
    };
    assert!(connect(18).is_ok());
    world.pccs.set(|knobs| knobs.issue.evaluation_number = 19);
    assert!(process(&world, &folder, &uncached(&world.policy, 19), 1).wait().unwrap().success());
    world.pccs.set(|knobs| knobs.issue.evaluation_number = 18);
    let done = connect(19);
    assert!(done.is_ok(), "what the other one has seen is used: {:?}", done.err());
    unsafe { atls_verifier_free(early) };
}

#[test]
fn a_disk_that_is_slow_is_no_reason_to_refuse_a_server() {
    let (world, folder) = (World::honest(), Folder::new("slow"));
    fs::create_dir_all(&folder.0).unwrap();
    // Somebody holds the lock: each of two writes, one after the other, would wait for it for 2 seconds.
    let lock = fs::File::create(folder.0.join("lock")).unwrap();
    lock.lock().unwrap();
    let verifier = verifier(&world.tee.root_der, &folder.0);
    let within = |ms| {
        support::open(world.server.port(), &world.policy, verifier, |config| {
            support::add_root(config, &world.tee.web_ca_pem);
            assert_eq!(unsafe { support::abi::atls_config_set_deadline(config, ms, null_mut()) }, 0);
        })
    };
    let done = within(3800);
    assert!(done.is_ok(), "{:?}", done.err());
    unsafe { atls_verifier_free(verifier) };
    drop(lock);
}
