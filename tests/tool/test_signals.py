"""atls get and atls post: signals, and what is shown on a terminal."""

import ctypes
import os
import pty
import select
import signal
import subprocess
import time

import pytest
from calling import BASE, POLICY, TRUST, WRAP, spawn

GET = ["get", *POLICY, *TRUST]
POST = ["post", *POLICY, *TRUST]
slow = pytest.mark.skipif(bool(WRAP), reason="bound to time")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted(number, tmp_path):
    out = tmp_path / "out"
    process = spawn(*GET, "-o", out, f"{BASE}/bytes/100000000000")
    deadline = time.monotonic() + 60
    while not any(entry.stat().st_size > 100_000 for entry in os.scandir(tmp_path)):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode in (-number, 128 + number)
    assert b"interrupted; what had arrived was removed" in said
    assert os.listdir(tmp_path) == []


def test_interrupted_before_anything_came():
    process = spawn(*GET, f"{BASE}/hang")
    time.sleep(5 if WRAP else 1)
    process.send_signal(signal.SIGINT)
    assert b"interrupted" in process.communicate(timeout=60)[1]
    assert process.returncode in (-signal.SIGINT, 130)


@slow
def test_progress_on_a_terminal(tmp_path):
    def said(*words):
        main, other = pty.openpty()
        process = spawn(*words, stderr=other, stdout=subprocess.DEVNULL)
        os.close(other)
        shown = b""
        end = time.monotonic() + 4
        while time.monotonic() < end:
            if select.select([main], [], [], 0.1)[0]:
                shown += os.read(main, 65536)
        process.kill()
        process.wait()
        os.close(main)
        return shown

    url = f"{BASE}/bytes/100000000000"
    assert b"received [" in said(*GET, "-o", "/dev/null", url)
    assert b"MB" not in said(*GET, "-s", "-o", "/dev/null", url)
    assert b"sent  " in said(*POST, "-d", "@/dev/zero", f"{BASE}/sink")


@slow
def test_a_terminal_that_closes(tmp_path):
    main, other = pty.openpty()
    out = tmp_path / "out"
    process = spawn(*GET, "-o", out, f"{BASE}/bytes/100000000000", stdin=other, stdout=other, stderr=other, start_new_session=True,
                    preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0))
    os.close(other)
    time.sleep(1)
    os.close(main)
    assert process.wait(30) in (-signal.SIGHUP, 129)
    assert os.listdir(tmp_path) == []


def send_to_thread(process, number):
    """To a thread that is not the main one."""
    threads = [int(name) for name in os.listdir(f"/proc/{process.pid}/task") if int(name) != process.pid]
    kill = ctypes.CDLL(None).syscall
    tgkill = {"x86_64": 234, "aarch64": 131}[os.uname().machine]
    assert kill(tgkill, process.pid, threads[0], number) == 0


def test_interrupted_after_the_verdict_was_saved(tmp_path):
    """A file that is complete does not make another one forgotten."""
    out = tmp_path / "out"
    verdict = tmp_path / "verdict.json"
    process = spawn(*GET, "-o", out, "--verdict", verdict, f"{BASE}/bytes/100000000000")
    deadline = time.monotonic() + 60
    while not (verdict.exists() and any(entry.stat().st_size > 100_000 for entry in os.scandir(tmp_path))):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode in (-signal.SIGINT, 128 + signal.SIGINT)
    assert b"interrupted; what had arrived was removed" in said
    assert os.listdir(tmp_path) == ["verdict.json"]


def test_interrupted_on_a_thread_of_the_library(tmp_path):
    """While it waits for the body and for the answer, there are two threads."""
    reading, writing = os.pipe()
    process = spawn(*POST, "-o", tmp_path / "out", "-d", "@-", f"{BASE}/echo", stdin=reading)
    os.close(reading)
    deadline = time.monotonic() + 60
    while len(os.listdir(f"/proc/{process.pid}/task")) < 2 or not os.listdir(tmp_path):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    send_to_thread(process, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    os.close(writing)
    assert b"interrupted" in said and process.returncode in (-signal.SIGINT, 128 + signal.SIGINT)
    assert os.listdir(tmp_path) == []
