"""What `atls proxy` passes on, and what it never passes on. The target is `atls serve` before an upstream of the tests' own, so both are tested."""

import hashlib
import json
import os
import signal
import ssl
import threading

import pytest

from proxying import SIM, Upstream, ask, dial, get, proxy, raw, read_body, receive, respond, serve, sim_port, wait_for

MEGA = os.urandom(1 << 20)


def seen(handler):
    read_body(handler)
    respond(handler, body=str(handler.headers).encode(), fields=[
        ("Connection", "close, X-Own"), ("X-Own", "1"), ("Keep-Alive", "timeout=9"), ("Proxy-Authenticate", "Basic"), ("Alt-Svc", 'h3=":443"'),
        ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Kept", "yes"), ("Refresh", "0;url=https://evil.example/")])


def hints(handler):
    read_body(handler)
    handler.send_response_only(103)
    handler.send_header("Link", "</style.css>; rel=preload")
    handler.end_headers()
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.send_header("Trailer", "X-Sum")
    handler.end_headers()
    handler.wfile.write(b"5\r\nhello\r\n0\r\nX-Sum: 42\r\n"
                        b'Alt-Svc: h3="evil.example:443"\r\nRefresh: 0;url=https://evil.example/\r\nLocation: https://evil.example/\r\n\r\n')


PAGES = {
    "/seen": seen,
    "/hints": hints,
    "/location": lambda handler: respond(handler, int(handler.headers.get("X-Code", 302)), fields=[("Location", bytes.fromhex(handler.headers["X-Location"]).decode())]),
    "/mega": lambda handler: respond(handler, body=MEGA),
    "/empty": lambda handler: (handler.send_response(204), handler.end_headers()),
    "/unchanged": lambda handler: (handler.send_response(304), handler.send_header("Content-Length", "77"), handler.end_headers()),
    "/cut-length": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthe beginning"),
    "/cut-chunk": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\nthe beginning\r\n"),
    "/no-http": raw(b"SSH-2.0-OpenSSH\r\n"),
    "/both": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    "/odd-reason": raw(b"HTTP/1.1 429 Zu viel f\xfcr heute\r\nContent-Length: 3\r\n\r\nabc"),
    "/refuses": lambda handler: respond(handler, 413, b"too much", [("Connection", "close")]),
}


@pytest.fixture(scope="module")
def upstream():
    with Upstream(PAGES) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def target(upstream):
    with serve(upstream.port, "-q") as target:
        yield target


@pytest.fixture(scope="module")
def it(target):
    with proxy(target.port) as it:
        yield it


def body_of(answer):
    return answer.split(b"\r\n\r\n", 1)[1]


@pytest.mark.parametrize("size", [0, 1, 65536, 300_001, 5 << 20])
@pytest.mark.parametrize("way", ["length", "chunks"])
def test_bodies_pass_in_both_directions(it, size, way):
    body = (MEGA * 6)[:size]
    framed = body
    if way == "chunks":
        pieces = [body[at:at + 70_000] for at in range(0, size, 70_000)]
        framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    head = f"POST /echo HTTP/1.1\r\nHost: localhost:{it.port}\r\nConnection: close\r\n"
    head += f"Content-Length: {size}\r\n\r\n" if way == "length" else "Transfer-Encoding: chunked\r\n\r\n"
    with dial(it.port) as connection:
        sender = threading.Thread(target=connection.sendall, args=(head.encode() + framed,))
        sender.start()
        answer = receive(connection)
        sender.join()
    assert answer.startswith(b"HTTP/1.1 200") and hashlib.sha256(body_of(answer)).digest() == hashlib.sha256(body).digest()


def test_what_concerns_one_connection_stays_there(it, target):
    _, answer = get(it.port, "/seen", fields="Connection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\n"
                                             "Upgrade: h2c\r\nX-Kept: 1\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n")
    head, upstream_saw = answer.decode().split("\r\n\r\n", 1)
    for name in ("X-Mine", "Keep-Alive", "Proxy-Connection", "TE:", "Upgrade", "Forwarded"):
        assert name not in upstream_saw, upstream_saw
    assert "X-Kept: 1" in upstream_saw and "Via: 1.1 atls" in upstream_saw and f"localhost:{it.port}" not in upstream_saw
    for name in ("X-Own", "Keep-Alive", "Proxy-Authenticate", "Alt-Svc", "Refresh"):
        assert name not in head, head
    assert head.count("Set-Cookie") == 2 and "X-Kept: yes" in head


def test_the_target_is_asked_under_its_own_name(it):
    port = sim_port("HTTP")
    with proxy(port) as direct:
        _, answer = get(direct.port, "/head")
        assert f"Host: localhost:{port}\r\n".encode() in answer and str(direct.port).encode() not in answer


def test_heads_without_bodies(it):
    status, answer = get(it.port, "/mega", method="HEAD")
    assert status == 200 and b"Content-Length: 1048576" in answer and body_of(answer) == b""
    status, answer = get(it.port, "/empty")
    assert status == 204 and b"ontent-Length" not in answer and b"chunked" not in answer
    status, answer = get(it.port, "/unchanged")
    assert status == 304 and body_of(answer) == b""


def test_informational_heads_and_trailers(it):
    _, answer = get(it.port, "/hints")
    assert answer.startswith(b"HTTP/1.1 103") and b"rel=preload" in answer
    assert b"evil" not in answer
    assert answer.endswith(b"\r\n0\r\nX-Sum: 42\r\n\r\n") or answer.endswith(b"\r\n0\r\nx-sum: 42\r\n\r\n"), answer
    _, answer = get(it.port, "/hints", version="1.0")
    assert b" 103" not in answer and body_of(answer) == b"hello"


def test_a_client_that_waits_is_asked_for_its_body(it):
    with dial(it.port) as connection:
        connection.sendall(f"POST /echo HTTP/1.1\r\nHost: localhost:{it.port}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n"
                           "Connection: close\r\n\r\n".encode())
        first = connection.recv(65536)
        assert first.startswith(b"HTTP/1.1 100")
        connection.sendall(b"hello")
        assert receive(connection).endswith(b"\r\n\r\nhello")


def test_an_early_refusal_reaches_a_client_that_still_sends(it):
    with dial(it.port) as connection:
        connection.sendall(f"POST /refuses HTTP/1.1\r\nHost: localhost:{it.port}\r\nContent-Length: 100000000\r\n\r\n".encode() + MEGA[:100_000])
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("method, status", [("CONNECT", 405), ("TRACE", 405)])
def test_methods_that_are_not_forwarded(it, upstream, method, status):
    before = len(upstream.requests)
    path = "/echo" if method == "TRACE" else f"localhost:{it.port}"
    assert get(it.port, path, method=method)[0] == status
    assert get(it.port, "*", method="OPTIONS")[0] == 400
    assert len(upstream.requests) == before


def test_websockets_are_refused_clearly(it):
    answer = ask(it.port, f"GET /echo HTTP/1.1\r\nHost: localhost:{it.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\nGET / HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 501") and b"UPGRADE_REFUSED" in answer


@pytest.fixture(scope="module")
def direct():
    """In front of the simulator's own server, whose /redirect?STATUS,LOCATION says what the query wants."""
    with proxy(sim_port("HTTP")) as direct:
        yield direct


@pytest.mark.parametrize("location, seen_as", [("/next?x=1", "/next?x=1"), ("next", "next"), ("?q", "?q"), ("{}/a//b", "/a//b"), ("{}", "/")])
def test_redirects_within_the_target_lead_back_to_the_proxy(direct, location, seen_as):
    location = location.format(f"https://localhost:{sim_port('HTTP')}")
    for status in (301, 302, 303, 307, 308):
        got, answer = get(direct.port, f"/redirect?{status},{location}")
        assert got == status and f"\r\nLocation: {seen_as}\r\n".encode() in answer, answer
    # Not a redirect, but it would lead a client to the target without the proxy all the same.
    assert f"\r\nLocation: {seen_as}\r\n".encode() in get(direct.port, f"/redirect?201,{location}")[1]


LEAVE = ["https://evil.example/", "http://localhost:{port}/", "//evil.example/", "https:evil.example", "https:/evil.example",
         "https://localhost:{port}@evil.example/", "https://localhost:{port}.evil.example/", "https://localhost:{port}//evil.example/",
         "javascript:evil", "https://localhost:{port}?evil", "https://localhost/evil"]


def refused_redirect(port, path, **more):
    status, answer = get(port, path, **more)
    assert status == 502 and json.loads(body_of(answer))["error"]["code"] == "REDIRECT_REFUSED" and b"evil" not in answer


@pytest.mark.parametrize("location", LEAVE)
def test_redirects_that_leave_the_attested_host_are_refused(direct, location):
    path = f"/redirect?307,{location.format(port=sim_port('HTTP'))}"
    refused_redirect(direct.port, path)
    assert get(direct.port, path.replace("307", "200"))[0] == 200  # not a redirect


def test_every_code_of_a_redirect_is_one(it):
    """Also those without a meaning: clients follow them all the same, and 300 and 305 with the method and the body."""
    fields = f"X-Location: {b'https://evil.example/'.hex()}\r\n"
    for code in range(300, 400):
        if code != 304:
            refused_redirect(it.port, "/location", fields=f"{fields}X-Code: {code}\r\n")


def test_a_reason_phrase_of_other_bytes_is_left_out(it):
    status, answer = get(it.port, "/odd-reason")
    assert status == 429 and body_of(answer) == b"abc" and b"\xfc" not in answer


def test_redirects_leave_if_the_user_wants(direct):
    with proxy(sim_port("HTTP"), "--allow-redirects") as lenient:
        status, answer = get(lenient.port, "/redirect?307,https://evil.example/")
        assert status == 307 and b"Location: https://evil.example/" in answer


@pytest.mark.parametrize("location", ["/\\evil.example", "\\\\evil.example/", "\\evil", "/\t/evil.example/", "\thttps://evil.example", "ht\ttps://evil.example",
                                      "next\\evil"])
def test_what_only_some_take_for_a_path_is_refused(it, location):
    status, answer = get(it.port, "/location", fields=f"X-Location: {location.encode().hex()}\r\n")
    assert status == 502 and b"REDIRECT_REFUSED" in answer and b"evil" not in answer


@pytest.mark.parametrize("path", ["/cut-length", "/cut-chunk"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_truncated_response_breaks_the_clients_connection(it, path, version):
    with dial(it.port) as connection:
        connection.sendall(f"GET {path} HTTP/{version}\r\nHost: localhost:{it.port}\r\nConnection: close\r\n\r\n".encode())
        try:
            answer = receive(connection)
        except ConnectionResetError:
            return
    if not answer or answer.startswith(b"HTTP/1.1 502"):
        return  # it was cut before its head had been passed on
    # Without a reset it must be plain from the framing that something is missing.
    if path == "/cut-length":
        assert b"Content-Length: 100\r\n" in answer and len(body_of(answer)) < 100
    else:
        assert version == "1.1" and b"chunked" in answer and not answer.endswith(b"0\r\n\r\n"), answer


@pytest.mark.parametrize("path", ["/no-http", "/both"])
def test_what_is_not_http_is_not_passed_on(it, path):
    status, answer = get(it.port, path)
    assert status == 502 and b"HTTP_PROTOCOL" in answer and b"SSH" not in answer and b"abc" not in answer


def test_a_target_that_fails_the_policy_gets_nothing_and_gives_nothing():
    with Upstream() as upstream, serve(upstream.port) as inner, proxy(inner.port, policy="wrong-policy.json") as it:
        for _ in range(2):
            status, answer = get(it.port, "/echo", method="POST", fields="Content-Length: 0\r\nAuthorization: Bearer sk-x\r\n")
            assert status == 502 and b"application/json" in answer
            said = json.loads(body_of(answer))
            assert said["status"] == said["error"]["code"] == "MEASUREMENT_MISMATCH" and said["check"] == "bootchain"
            assert said["expected"] != said["actual"] and said["actual"] in said["error"]["message"]
        assert upstream.requests == [] and "POST" not in inner.log()
        wait_for(lambda: "is not attested, so requests are answered with 502" in it.log() and "FAIL  bootchain" in it.log(), "the check at start")


def test_evidence_of_another_session_is_refused():
    with proxy(sim_port("EVIL")) as it:
        status, answer = get(it.port)
        assert status == 502 and json.loads(body_of(answer))["check"] == "report_data"


def test_a_target_without_evidence_is_refused():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SIM / "peer.pem", SIM / "peer-key.pem")
    with Upstream() as plain:
        plain.server.socket = context.wrap_socket(plain.server.socket, server_side=True)
        with proxy(plain.port) as it:
            status, answer = get(it.port, "/echo", fields="X-Secret: 1\r\n")
            assert status == 502 and json.loads(body_of(answer))["status"] == "NO_EVIDENCE"
            assert all(path.startswith(("/tdx_quote", "/atls/")) for _, path, _ in plain.requests)


def test_a_target_that_is_gone_and_back():
    with Upstream() as upstream:
        inner = serve(upstream.port)
        port = inner.port
        with proxy(port) as it:
            assert get(it.port)[0] == 200
            inner.stop(signal.SIGKILL)
            for _ in range(3):
                status, answer = get(it.port)
                assert status == 502 and json.loads(body_of(answer))["status"] in ("IO", "TRUNCATED", "CLOSED")
            with serve(upstream.port, listen=f"127.0.0.1:{port}"):
                assert get(it.port)[0] == 200
        inner.__exit__()


def test_what_is_refused_leaves_the_proxy_working(it):
    for junk in ("\x00\x01", "GET / HTTP/1.x\r\n\r\n", "GET /echo HTTP/1.1\r\n\r\n", "GET /a#b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                 "GET /a\\b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                 "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"):
        assert ask(it.port, junk + "\r\n").startswith(b"HTTP/1.1 4"), junk
    assert get(it.port)[0] == 200
