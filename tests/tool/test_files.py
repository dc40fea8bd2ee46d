"""atls get and atls post: files and descriptors that they read and write."""

import os
import stat
import subprocess
import threading

import pytest
from calling import BASE, POLICY, SOURCES, TRUST, command, environment, fails, passes, text, tool

GET = ["get", *POLICY, *TRUST]
POST = ["post", *POLICY, *TRUST]


@pytest.mark.parametrize(
    "path, says",
    [
        ("/none/policy.json", "No such file or directory"),
        ("/", "Is a directory"),
        ("/dev/null", "policy"),
        ("/dev/zero", "longer than 16 MiB"),
    ],
)
def test_policies_that_cannot_be_read(path, says):
    done = tool("get", "--policy", path, *TRUST, f"{BASE}/small")
    assert done.returncode == (1 if path == "/dev/null" else 2)
    assert path in text(done) and says in text(done)


@pytest.mark.parametrize(
    "document, says",
    [
        ("{", "policy"),
        ('{"type": "snp"}', "missing field"),
        ('{"type": "dstack_tdx", "disable_runtime_verification": true, "misspelt": 1}', "policy.misspelt"),
        ('{"type": "dstack_tdx", "type": "dstack_tdx"}', "type"),
        ('{"x": ' + "[" * 100_000 + "]" * 100_000 + "}", "policy"),
        ("\xff", "policy"),
    ],
    ids=["cut", "incomplete", "misspelt", "twice", "deep", "not-utf8"],
)
def test_policies_that_are_invalid(document, says, policy):
    options = policy(document)
    done = fails(1, options[1], says, done=tool("get", *options, *TRUST, f"{BASE}/small"))
    assert len(done.stderr) < 4000


def as_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def test_no_permission(tmp_path):
    locked = tmp_path / "locked.json"
    locked.write_text("{}")
    locked.chmod(0)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.getuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o055)
    root = os.getuid() == 0
    words = command("get", "--policy", locked, "https://localhost:1/")
    done = subprocess.run(words, env=environment(), capture_output=True, preexec_fn=as_nobody if root else None)
    fails(2, "locked.json: Permission denied", done=done)
    words = command("verify", "/dev/null", "--policy", locked)
    done = subprocess.run(words, env=environment(), capture_output=True, preexec_fn=as_nobody if root else None)
    fails(2, "Permission denied", done=done)


def test_output_places(tmp_path):
    fails(2, f"{tmp_path}: Is a directory", done=tool(*GET, "-o", tmp_path, f"{BASE}/small"))
    fails(2, "No such file or directory", done=tool(*GET, "-o", tmp_path / "none/out", f"{BASE}/small"))
    out = tmp_path / "out"
    out.write_text("before")
    out.chmod(0o640)
    passes(tool(*GET, "-o", out, f"{BASE}/small"))
    assert out.read_bytes() == b"x" * 100 and stat.S_IMODE(out.stat().st_mode) == 0o640
    passes(tool(*GET, "-o", "/dev/null", f"{BASE}/small"))
    assert passes(tool(*GET, "-o", "-", f"{BASE}/small")).stdout == b"x" * 100
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    passes(tool(*GET, "-o", fifo, f"{BASE}/small"))
    reader.join()
    assert got == [b"x" * 100] and sorted(os.listdir(tmp_path)) == ["fifo", "out"]
    link = tmp_path / "link"
    link.symlink_to("out")
    out.write_text("before")
    passes(tool(*GET, "-o", link, f"{BASE}/small"))
    assert link.is_symlink() and out.read_bytes() == b"x" * 100


def test_a_body_that_is_cut_leaves_no_file(tmp_path):
    out = tmp_path / "out"
    out.write_text("before")
    done = tool(*GET, "-o", out, f"{BASE}/cut")
    assert done.returncode in (2, 5), text(done)
    assert out.read_text() == "before" and os.listdir(tmp_path) == ["out"]
    assert "what had arrived was removed" in text(done)


@pytest.mark.parametrize("words", [["-o", "/dev/full"], []])
def test_full_disk(words):
    with open("/dev/full", "wb") as full:
        rest = {} if words else {"stdout": full, "stderr": subprocess.PIPE}
        done = tool(*GET, *words, f"{BASE}/bytes/1000000", **rest)
    fails(2, "No space left on device", done=done) if words else None
    assert done.returncode == 2 and b"No space left on device" in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["get", "--help"], ["completion", "bash"], ["--man"]])
def test_full_disk_for_texts(words):
    with open("/dev/full", "wb") as full:
        done = tool(*words, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2 and b"No space left on device" in done.stderr


def test_stdout_that_nobody_reads():
    for words in ([*GET, f"{BASE}/bytes/20000000"], ["measure", BASE, *TRUST, *SOURCES], ["completion", "bash"]):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as out:
            done = tool(*words, stdout=out, stderr=subprocess.PIPE)
        assert done.returncode == 141, (done.returncode, done.stderr)
        assert not [line for line in done.stderr.splitlines() if b"warning" not in line], done.stderr


def test_closed_descriptors(tmp_path):
    """No file gets the number of a standard descriptor that is closed."""
    shell = lambda redirect, *words: subprocess.run(
        ["sh", "-c", f'exec "$@" {redirect}', "sh", *command(*words)], env=environment(), capture_output=True, timeout=120
    )
    done = shell(">&-", *GET, f"{BASE}/small")
    assert done.returncode == 2 and b"standard output: Bad file descriptor" in done.stderr
    out = tmp_path / "out"
    assert shell("<&- >&- 2>&-", *GET, "-v", "-o", out, f"{BASE}/small").returncode == 0
    assert out.read_bytes() == b"x" * 100
    done = shell("<&-", *POST, "-d", "@-", f"{BASE}/echo")
    assert done.returncode == 2 and b"standard input" in done.stderr


