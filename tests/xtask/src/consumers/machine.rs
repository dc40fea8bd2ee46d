//! A fresh Debian 12 in a folder below target, made by debootstrap. Programs run in it by chroot, on the network of this machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::shell::{Done, command, output, root, run};

/// What a programmer has beside the smallest system. debootstrap does not follow what other packages provide: python3-ply is for python3-cffi.
const WITH: &str = "gcc,g++,libc6-dev,pkg-config,python3-venv,python3-cffi,python3-ply";

pub struct Machine {
    root: PathBuf,
}

impl Machine {
    /// A copy of the system that debootstrap made, once.
    pub fn fresh() -> Result<Machine, String> {
        let folder = root().join("target/debootstrap");
        let base = folder.join("bookworm");
        let made_of = base.join("made-of");
        if !std::fs::read_to_string(&made_of).is_ok_and(|there| there == WITH) {
            let _ = std::fs::remove_dir_all(&base);
            std::fs::create_dir_all(&base).map_err(|error| format!("{}: {error}", base.display()))?;
            let mut debootstrap = command("debootstrap");
            debootstrap.args(["--variant=minbase", &format!("--include={WITH}"), "bookworm"]).arg(&base);
            let made = output(&mut debootstrap);
            made.map_err(|error| {
                format!("the packages cannot be tried without debootstrap, which needs root: {error}")
            })?;
            std::fs::write(&made_of, WITH).map_err(|error| error.to_string())?;
        }
        let machine = Machine { root: folder.join("machine") };
        let _ = std::fs::remove_dir_all(&machine.root);
        run(command("cp").args(["-a", "--reflink=auto"]).arg(&base).arg(&machine.root))?;
        let hosts = "127.0.0.1 localhost\n::1 localhost\n";
        std::fs::write(machine.path("/etc/hosts"), hosts).map_err(|error| error.to_string())?;
        Ok(machine)
    }

    /// Where a file of the machine is on this one.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    pub fn command(&self, program: &str) -> Command {
        let mut chroot = command("chroot");
        chroot.arg(&self.root).arg(program).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
        chroot
    }

    pub fn shell(&self, line: &str) -> Command {
        let mut shell = self.command("/bin/sh");
        shell.args(["-ec", line]);
        shell
    }

    /// Copies the plain files of a folder to the same path there.
    pub fn copy_files(&self, folder: &Path) -> Done {
        let there = self.path(folder);
        let failed = |error: std::io::Error| format!("{}: {error}", there.display());
        std::fs::create_dir_all(&there).map_err(failed)?;
        for entry in std::fs::read_dir(folder).map_err(failed)?.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                std::fs::copy(entry.path(), there.join(entry.file_name())).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Copies a file into a folder there, which is made if need be.
    pub fn copy_file(&self, file: &Path, folder: &str) -> Done {
        let there = self.path(folder);
        let failed = |error: std::io::Error| format!("{}: {error}", there.display());
        std::fs::create_dir_all(&there).map_err(failed)?;
        std::fs::copy(file, there.join(file.file_name().unwrap_or_default())).map(drop).map_err(failed)
    }

    pub fn install(&self, debs: &[PathBuf]) -> Done {
        println!("dpkg --install");
        for deb in debs {
            let there = self.path("/tmp").join(deb.file_name().unwrap_or_default());
            std::fs::copy(deb, &there).map_err(|error| format!("{}: {error}", there.display()))?;
        }
        output(&mut self.shell("dpkg --install /tmp/*.deb && rm /tmp/*.deb && dpkg --audit")).map(drop)
    }

    pub fn purge(&self, packages: &[String]) -> Done {
        run(self.command("dpkg").arg("--purge").args(packages).stdout(Stdio::null()))
    }

    /// The folder of the machine's architecture below /usr/lib.
    pub fn libraries(&self) -> Result<PathBuf, String> {
        let found = output(&mut self.shell("echo /usr/lib/*/pkgconfig/atls.pc"))?;
        let folder = Path::new(found.trim()).ancestors().nth(2).map(|folder| self.path(folder));
        folder.filter(|folder| folder.is_dir()).ok_or_else(|| format!("no atls.pc is installed: {found}"))
    }

    /// Every file and folder, but for what dpkg and the loader note for themselves.
    pub fn files(&self) -> Result<BTreeSet<String>, String> {
        const NOTES: [&str; 4] = ["/var/lib/dpkg/", "/var/log/", "/var/cache/", "/etc/ld.so.cache"];
        let listing = output(command("find").arg(&self.root).args(["-xdev", "-printf", "/%P\\n"]))?;
        let files = listing.lines().filter(|path| !NOTES.iter().any(|note| path.starts_with(note)));
        Ok(files.map(str::to_owned).collect())
    }
}
