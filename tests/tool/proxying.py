"""What the tests of `atls proxy` and `atls serve` share: the two as processes, an upstream that does what a test wants, raw connections.

Needs ATLS_SIM (the simulator's folder) and ATLS_TOOL (the program)."""

import http.server
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

SIM = Path(os.environ.get("ATLS_SIM", "/nonexistent"))
TOOL = os.environ.get("ATLS_TOOL") or os.path.join(os.environ.get("ATLS_PREFIX", "/usr"), "bin", "atls")
ROOTS = ["--cacert", str(SIM / "web-ca.pem"), "--test-root", f"intel={SIM / 'root.der'}"]


def wait_for(condition, what, limit=20):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"waited {limit} s for {what}"
        time.sleep(0.01)


class Service:
    """`atls proxy` or `atls serve`, once it listens."""

    def __init__(self, *arguments, env=None):
        self.folder = tempfile.TemporaryDirectory()
        self.errors = Path(self.folder.name) / "stderr"
        port_file = Path(self.folder.name) / "port"
        with open(self.errors, "wb") as errors:
            line = [TOOL, *map(str, arguments), "--port-file", str(port_file)]
            self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=errors, env=env)
        wait_for(lambda: port_file.exists() or self.process.poll() is not None, "a port")
        assert self.process.poll() is None, self.log()
        self.port = int(port_file.read_text())
        self.said = self.process.stdout.readline().decode()

    def log(self):
        return self.errors.read_text(errors="replace")

    def rss(self):
        """KiB of memory in use."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def stop(self, number=signal.SIGTERM, limit=20):
        self.process.send_signal(number)
        return self.process.wait(limit)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """In order, so that a sanitizer has its say; requests that a test left open do not hold it up."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGTERM)
            code, log = self.process.wait(60), self.log()
            assert code in (0, 128 + signal.SIGTERM), log
        self.process.stdout.close()
        self.folder.cleanup()


def serve(upstream_port, *more, listen="127.0.0.1:0", agent=SIM / "agent.sock"):
    return Service("serve", "--listen", listen, "--upstream", f"http://127.0.0.1:{upstream_port}", "--agent", agent,
                   "--cert", SIM / "peer.pem", "--key", SIM / "peer-key.pem", *more)


def proxy(target_port, *more, policy="policy.json", listen="127.0.0.1:0"):
    return Service("proxy", "--listen", listen, "--target", f"https://localhost:{target_port}", "--policy", SIM / policy, *ROOTS, *more)


def sim_port(name):
    lines = (SIM / "ports").read_text().splitlines()
    return int(dict(line.split("=") for line in lines)[name])


class Relay:
    """Counts the connections to a port."""

    def __init__(self, port):
        self.count = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.to = port
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            self.count += 1
            far = socket.create_connection(("127.0.0.1", self.to))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.copy, args=(source, sink), daemon=True).start()

    def copy(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Upstream:
    """An HTTP/1.1 server on a thread for each connection. `pages` maps a path to a function of the handler; /echo is there always."""

    def __init__(self, pages=None, port=0):
        self.pages = {"/echo": echo, **(pages or {})}
        self.requests = []
        upstream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                path = self.path.split("?")[0]
                upstream.requests.append((self.command, self.path, self.headers))
                upstream.pages.get(path, missing)(self)

            do_GET = do_POST = do_PUT = do_HEAD = do_OPTIONS = do_DELETE = do_PATCH = do_TRACE = answer

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, *_):
                pass  # clients that leave

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def read_body(handler):
    if "chunked" in handler.headers.get("Transfer-Encoding", ""):
        body = b""
        while size := int(handler.rfile.readline().split(b";")[0], 16):
            body += handler.rfile.read(size)
            handler.rfile.readline()
        while handler.rfile.readline() not in (b"\r\n", b""):
            pass
        return body
    return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))


def respond(handler, status=200, body=b"", fields=()):
    handler.send_response(status)
    for name, value in fields:
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def echo(handler):
    body = read_body(handler)
    respond(handler, body=body, fields=[("X-Method", handler.command)])


def missing(handler):
    read_body(handler)
    respond(handler, 404, b"no such page")


def raw(text):
    """A page that answers with these bytes and closes."""

    def page(handler):
        read_body(handler)
        handler.wfile.write(text)
        handler.wfile.flush()
        handler.close_connection = True

    return page


def dial(port):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.settimeout(20)
    return connection


def ask(port, text):
    """Sends the bytes, and returns all that comes until the end of the connection."""
    with dial(port) as connection:
        connection.sendall(text.encode() if isinstance(text, str) else text)
        return receive(connection)


def receive(connection):
    got = b""
    while piece := connection.recv(65536):
        got += piece
    return got


def get(port, path="/echo", fields="", method="GET", version="1.1", host=None):
    """The status and the whole response to a request on a connection of its own."""
    host = f"127.0.0.1:{port}" if host is None else host
    text = f"{method} {path} HTTP/{version}\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n"
    answer = ask(port, text)
    return int(answer.split(b" ", 2)[1]), answer
