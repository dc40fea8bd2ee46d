"""The log of `atls proxy` and `atls serve`: that it holds no secret, and that nobody has to read it."""

import fcntl
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from proxying import ROOTS, SIM, TOOL, Upstream, ask, dial, get, proxy, serve, wait_for


@pytest.fixture(scope="module")
def target():
    with Upstream() as upstream, serve(upstream.port) as target:
        yield target


@pytest.fixture(scope="module")
def it(target):
    with proxy(target.port) as it:
        wait_for(lambda: "is attested" in it.log(), "the check at start")
        yield it


HOST = "Host: localhost\r\nConnection: close\r\n"


@pytest.mark.parametrize("text, reason", [
    (f"GET / HTTP/1.1\r\n{HOST}Authorization : Bearer sk-SECRET\r\n\r\n", 'illegal header line: "Authorization"'),
    (f"GET / HTTP/1.1\r\n{HOST}Authorization: Bearer sk-SECRET\0\r\n\r\n", 'illegal byte in the value of: "Authorization"'),
    (f"GET / HTTP/1.1\r\n{HOST}Authorization:\r\n sk-SECRET\r\n\r\n", "a line begins with a space or tab"),
    (f"GET / HTTP/1.1\r\n{HOST}Authorization: Bearer sk-SECRET\n\r\n", 'a line ends without CR: "Authorization"'),
    (f"GET / HTTP/1.1\r\n{HOST}sk-SECRET\r\n\r\n", "illegal header line"),
    (f"GET /?api_key=sk-SECRET x HTTP/1.1\r\n{HOST}\r\n", "illegal request line"),
    (f"GET /?api_key=sk-SECRET HTTP/2.0\r\n{HOST}\r\n", "neither HTTP/1.0 nor HTTP/1.1"),
    ("GET / HTTP/1.1\r\nHost: me:sk-SECRET@local host\r\n\r\n", "illegal Host"),
    (f"GET http://me:sk-SECRET@localhost/echo HTTP/1.1\r\n{HOST}\r\n", None),
    (f"GET http://me:sk-SECRET@evil.example/echo?sk-SECRET HTTP/1.1\r\n{HOST}\r\n", None),
    (f"GET ftp://me:sk-SECRET@localhost/echo HTTP/1.1\r\n{HOST}\r\n", None),
    (f"CONNECT me:sk-SECRET@localhost:1 HTTP/1.1\r\n{HOST}\r\n", None),
    (f"GET /\xe9?sk-SECRET HTTP/1.1\r\n{HOST}\r\n", None),
    (f"GET /echo?sk-SECRET HTTP/1.1\r\n{HOST}Origin: https://sk-SECRET.example\r\n\r\n", "ORIGIN_REFUSED"),
    ("GET /echo HTTP/1.1\r\nHost: sk-SECRET.example\r\nConnection: close\r\n\r\n", "HOST_REFUSED"),
    (f"POST /echo HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\nsk-SECRET\r\n", "illegal chunk size"),
    (f"POST /echo HTTP/1.1\r\n{HOST}Transfer-Encoding: sk-SECRET\r\n\r\n", "other than chunked"),
])
def test_no_secret_of_a_request_gets_into_the_log(it, target, text, reason):
    before = it.log()
    answer = ask(it.port, text.encode("latin-1"))
    assert answer.startswith(b"HTTP/1.1") or reason == "illegal chunk size", answer  # a body that breaks may end in a reset
    wait_for(lambda: len(it.log()) > len(before) and it.log().endswith("\n"), "a line")
    said = it.log()[len(before):]
    assert "SECRET" not in it.log() + target.log(), said
    assert reason is None or reason in said, said


def test_the_path_of_an_absolute_target_is_logged(it):
    ask(it.port, f"GET http://me:pw@localhost/echo/deep?q HTTP/1.1\r\n{HOST}\r\n")
    wait_for(lambda: " GET /echo/deep " in it.log(), "the line")


def stuck(target_port, folder):
    """A proxy whose stderr is a pipe that is full, and that nobody reads; and the pipe's reading end."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    port_file = Path(folder) / "port"
    line = [TOOL, "proxy", "--listen", "127.0.0.1:0", "--target", f"https://localhost:{target_port}", "--policy", SIM / "policy.json", *ROOTS,
            "--port-file", port_file]
    process = subprocess.Popen([str(word) for word in line], stdout=subprocess.DEVNULL, stderr=writer)
    wait_for(lambda: port_file.exists() or process.poll() is not None, "a port")
    os.set_blocking(writer, False)
    try:
        while os.write(writer, b"x" * 512):
            pass
    except BlockingIOError:
        pass
    os.set_blocking(writer, True)
    os.close(writer)
    return process, int(port_file.read_text()), reader


@pytest.mark.parametrize("signals, code", [([signal.SIGTERM], 0), ([signal.SIGTERM, signal.SIGTERM], 128 + signal.SIGTERM)])
def test_an_unread_stderr_stops_neither_requests_nor_the_end(target, signals, code):
    with tempfile.TemporaryDirectory() as folder:
        process, port, reader = stuck(target.port, folder)
        try:
            for _ in range(40):
                assert get(port, "/echo?" + "x" * 40)[0] == 200
            with holding(port) if len(signals) > 1 else tempfile.TemporaryDirectory():
                for number in signals:
                    process.send_signal(number)
                    time.sleep(0.3)
                assert process.wait(15) == code
        finally:
            process.kill()
            process.wait()
            os.close(reader)


class holding:
    """A request under way that does not end."""

    def __init__(self, port):
        self.connection = dial(port)
        self.connection.sendall(f"POST /echo HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 10\r\n\r\nabc".encode())
        time.sleep(0.5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


def test_dropped_lines_are_counted_and_said(target):
    with tempfile.TemporaryDirectory() as folder:
        process, port, reader = stuck(target.port, folder)
        try:
            path = "/" + "x" * 900
            for _ in range(400):  # more than the queue holds
                assert ask(port, f"TRACE {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 405")
            got = b""
            while b"lines were dropped here" not in got:
                got += os.read(reader, 65536)
            dropped = int(got.split(b" lines were dropped here")[0].rsplit(b" ", 1)[1])
            assert dropped > 0 and got.count(b"Z TRACE /") + dropped == 400, (dropped, got.count(b"Z TRACE /"))
            ask(port, "GET /after HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while b" GET /after " not in got:
                got += os.read(reader, 65536)
        finally:
            process.kill()
            process.wait()
            os.close(reader)
