"""Streams through `atls proxy` and `atls serve`: pace, back-pressure, ends of either side, signals, age."""

import hashlib
import os
import re
import signal
import socket
import threading
import time

import pytest

from proxying import Relay, Upstream, dial, get, proxy, read_body, receive, respond, serve, wait_for

BLOCK = os.urandom(1 << 16)
# KiB that a process may gain; a sanitizer keeps what was freed.
GROWTH = int(os.environ.get("ATLS_GROWTH", 8192))


class Pages:
    """Pages that the test steers."""

    def __init__(self):
        self.go = threading.Event()
        self.left = threading.Event()
        self.sent = self.got = 0
        self.pages = {"/steps": self.steps, "/endless": self.endless, "/taking": self.taking, "/silent": self.silent, "/slow": self.slow}

    def chunk(self, handler, data):
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def begin(self, handler):
        read_body(handler)
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()

    def steps(self, handler):
        """An event, and the next one when the test says so."""
        self.begin(handler)
        self.chunk(handler, b"data: one\n\n")
        assert self.go.wait(20)
        self.chunk(handler, b"data: two\n\n")
        handler.wfile.write(b"0\r\n\r\n")

    def endless(self, handler):
        self.begin(handler)
        try:
            while True:
                self.chunk(handler, BLOCK)
                self.sent += len(BLOCK)
        except OSError:
            self.left.set()

    def silent(self, handler):
        """Says nothing until its client has left."""
        read_body(handler)
        handler.connection.settimeout(20)
        if handler.connection.recv(1) == b"":
            self.left.set()
        handler.close_connection = True

    def taking(self, handler):
        """Takes the body when the test says so."""
        assert self.go.wait(20)
        body = read_body(handler)
        respond(handler, body=hashlib.sha256(body).hexdigest().encode())

    def slow(self, handler):
        read_body(handler)
        time.sleep(0.5)
        respond(handler, body=b"done")


@pytest.fixture
def pages():
    return Pages()


@pytest.fixture
def upstream(pages):
    with Upstream(pages.pages) as upstream:
        yield upstream


@pytest.fixture
def target(upstream):
    with serve(upstream.port) as target:
        yield target


@pytest.fixture
def it(target):
    with proxy(target.port) as it:
        yield it


def request(it, path, method="GET", fields="", version="1.1"):
    connection = dial(it.port)
    connection.sendall(f"{method} {path} HTTP/{version}\r\nHost: localhost:{it.port}\r\n{fields}\r\n".encode())
    return connection


def receive_until(connection, words):
    got = b""
    while words not in got:
        piece = connection.recv(65536)
        assert piece, got
        got += piece
    return got


def test_events_pass_as_they_come(it, pages):
    with request(it, "/steps", fields="Connection: close\r\n") as connection:
        assert b"two" not in receive_until(connection, b"data: one\n\n")
        pages.go.set()
        assert receive(connection).endswith(b"data: two\n\n\r\n0\r\n\r\n")


def test_a_client_that_leaves_ends_the_work_at_the_upstream(it, target, pages):
    connection = request(it, "/endless")
    receive_until(connection, BLOCK[:100])
    connection.close()
    assert pages.left.wait(10)
    wait_for(lambda: "client: gone" in it.log() and "GET /endless 200" in target.log(), "the log")


def test_a_client_that_leaves_while_the_upstream_thinks_ends_it_too(it, upstream, pages):
    connection = request(it, "/silent")
    wait_for(lambda: upstream.requests, "the request at the upstream")
    time.sleep(0.2)
    assert not pages.left.is_set()
    connection.close()
    assert pages.left.wait(10)
    wait_for(lambda: "GET /silent - 0" in it.log(), "the log")


def test_a_client_that_does_not_read_slows_the_upstream_down(it, target, pages):
    with request(it, "/endless") as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        last = -1
        while last != pages.sent:
            last = pages.sent
            time.sleep(0.5)
        assert 0 < pages.sent < 48 << 20, "sent although nobody reads"
        before = it.rss(), target.rss()
        receive_until(connection, BLOCK[:100])
        for _ in range(300):
            connection.recv(1 << 20)
        assert it.rss() - before[0] < GROWTH and target.rss() - before[1] < GROWTH


def test_an_upstream_that_does_not_read_slows_the_client_down(it, pages):
    body = BLOCK * 1600  # 100 MiB
    before = it.rss()
    with request(it, "/taking", "POST", f"Content-Length: {len(body)}\r\nConnection: close\r\n") as connection:
        connection.settimeout(1)
        sent = 0
        with pytest.raises(TimeoutError):
            while True:
                sent += connection.send(body[sent:sent + (1 << 16)])
        assert sent < len(body) / 2 and it.rss() - before < GROWTH
        pages.go.set()
        connection.settimeout(60)
        connection.sendall(body[sent:])
        assert receive(connection).endswith(hashlib.sha256(body).hexdigest().encode())
    assert it.rss() - before < GROWTH


def test_a_body_that_only_the_end_of_its_connection_ends_is_reset_if_it_is_cut(upstream, pages):
    """To a client of HTTP/1.0 an orderly end would say that the body is complete."""
    with serve(upstream.port) as target, proxy(target.port) as it:
        with request(it, "/steps", version="1.0") as connection:
            receive_until(connection, b"data: one\n\n")
            target.stop(signal.SIGKILL)
            with pytest.raises(ConnectionResetError):
                receive(connection)
        wait_for(lambda: "TRUNCATED" in it.log() or "IO" in it.log(), "the reason in the log")


def test_a_target_that_is_killed_breaks_a_chunked_response(upstream):
    with serve(upstream.port) as target, proxy(target.port) as it:
        with request(it, "/steps") as connection:
            got = receive_until(connection, b"data: one\n\n")
            target.stop(signal.SIGKILL)
            try:
                got += receive(connection)
            except ConnectionResetError:
                pass
            assert not got.endswith(b"0\r\n\r\n")


def test_sigterm_lets_a_stream_end_and_takes_no_new_client(it, pages):
    with request(it, "/steps") as connection:
        receive_until(connection, b"data: one\n\n")
        it.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "1 requests run to their end" in it.log(), "the notice")
        with pytest.raises(ConnectionRefusedError):
            wait_for(lambda: dial(it.port).close(), "nobody", limit=5)
        assert it.process.poll() is None
        pages.go.set()
        assert receive(connection).endswith(b"0\r\n\r\n")
    assert it.process.wait(10) == 0


def test_the_end_of_its_terminal_ends_the_proxy(target):
    with proxy(target.port) as it:
        assert it.stop(signal.SIGHUP) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(it, number):
    with request(it, "/steps") as connection:
        got = receive_until(connection, b"data: one\n\n")
        it.process.send_signal(number)
        wait_for(lambda: "run to their end" in it.log(), "the notice")
        assert it.stop(number) == 128 + number
        try:
            got += receive(connection)
        except ConnectionResetError:
            pass
        assert not got.endswith(b"0\r\n\r\n")


def test_a_stop_that_takes_too_long_ends_by_itself(target):
    with proxy(target.port, "--drain", "0.3") as it, request(it, "/steps") as connection:
        receive_until(connection, b"data: one\n\n")
        assert it.stop() == 0


def test_serve_drains_too(target, pages):
    with proxy(target.port) as it, request(it, "/steps", fields="Connection: close\r\n") as connection:
        receive_until(connection, b"data: one\n\n")
        target.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "1 requests run to their end" in target.log(), "the notice")
        pages.go.set()
        assert receive(connection).endswith(b"0\r\n\r\n")
        assert target.process.wait(10) == 0


@pytest.mark.parametrize("age, connections", [(None, 1), ("0.3", 2)])
def test_an_old_connection_is_not_used_and_its_target_is_attested_anew(target, age, connections):
    relay = Relay(target.port)
    more = ["--max-age", age] if age else []
    with proxy(target.port, "--connect-to", f"localhost:{target.port}:127.0.0.1:{relay.port}", *more) as it:
        wait_for(lambda: "is attested" in it.log(), "the check at start")
        before = relay.count
        for _ in range(2):
            assert get(it.port)[0] == 200
            assert get(it.port)[0] == 200
            time.sleep(0.5)
        assert relay.count - before == connections
    relay.listener.close()


def test_requests_beyond_the_limit_wait_for_their_turn(target, upstream):
    with proxy(target.port, "--max-requests", "2", "-q") as it:
        answers = []
        clients = [threading.Thread(target=lambda: answers.append(get(it.port, "/slow")[0])) for _ in range(6)]
        begun = time.monotonic()
        [client.start() for client in clients]
        [client.join() for client in clients]
        assert answers == [200] * 6 and time.monotonic() - begun > 1.4
        assert it.log().count("\n") == 2, "-q: the warning about the test's roots, and that the target is attested"


def test_a_response_that_does_not_begin_in_time_is_a_504(target):
    with proxy(target.port, "--max-time", "0.3") as it:
        status, answer = get(it.port, "/silent")
        assert status == 504 and b'"status":"TIMED_OUT"' in answer


def test_many_at_once(it, pages):
    pages.go.set()
    failed = []

    def client(number):
        body = hashlib.sha256(str(number).encode()).digest() * 5000
        head = f"POST /echo HTTP/1.1\r\nHost: localhost:{it.port}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        with dial(it.port) as connection:
            connection.sendall(head.encode() + body)
            if receive(connection).split(b"\r\n\r\n", 1)[1] != body:
                failed.append(number)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(64)]
    [each.start() for each in clients]
    [each.join() for each in clients]
    assert not failed


def test_a_log_line_has_no_query_no_secret_and_no_control_character(it):
    get(it.port, "/echo?key=hush", fields="Authorization: Bearer hush\r\n")
    get(it.port, "/caf\xe9/%1b", fields="")
    wait_for(lambda: it.log().count(" GET /") == 2, "two lines")
    lines = [line for line in it.log().splitlines() if " GET /" in line]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z GET /echo 200 0 \d+ ms", lines[0]), lines
    assert "hush" not in it.log()

