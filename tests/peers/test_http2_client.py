"""The client over HTTP/2: nginx, grpcio, and servers that send frames which no server should (RFC 9113)."""

import concurrent.futures
import json
import os
import shutil
import socket
import subprocess
import threading
import time

import grpc
import hyperframe.frame as frames
import pytest
from OpenSSL import SSL

import attested
from h2_server import Server, Wire

PROGRAM = os.environ["HTTP2_CLIENT"]
HTTP_2, BOTH = 4, 6
REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 7, 8, 11
NOT_PROCESSED, STREAM_RESET, TOO_MANY_INFORMATIONAL, UNASKED_UPGRADE = 83, 84, 70, 71


def sim(name):
    return os.path.join(os.environ["ATLS_SIM"], name)


def client(port, path="/", method="GET", count=1, versions=HTTP_2, body=0, fields=(), **environment):
    """What came of each request, as a dict; `ended` is the name of the status."""
    url = f"https://localhost:{port}{path}"
    line = [PROGRAM, str(versions), str(count), method, url, str(body), *[part for field in fields for part in field]]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    said = []
    for line in done.stdout.splitlines():
        ended, rest = line.split(" ", 1)
        rest, message = rest.split(" message=", 1)
        said.append({"ended": ended, "message": message, **dict(part.split("=", 1) for part in rest.split(" "))})
    assert len(said) == count
    return said


def one(*arguments, **options):
    return client(*arguments, **options)[0]


def is_well(said, size=2):
    return said["ended"] == "OK" and said["status"] == "200" and said["version"] == "4" and said["bytes"] == str(size)


# Servers of others


@pytest.fixture
def nginx(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "page").write_bytes(bytes(1 << 20))
    (tmp_path / "nginx.conf").write_text(
        f"""daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;
        events {{}}
        http {{
            access_log off; client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;
            fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
            server {{
                listen 127.0.0.1:{port} ssl http2; root {tmp_path};
                ssl_certificate {sim("peer.pem")}; ssl_certificate_key {sim("peer-key.pem")}; ssl_protocols TLSv1.3;
                http2_max_concurrent_streams 20; keepalive_requests 1000;
                location /few {{ keepalive_requests 5; alias {tmp_path}/page; }}
            }}
        }}"""
    )
    tmp_path.chmod(0o755)
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([program, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-g", "user root;"])
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def test_nginx(nginx):
    assert is_well(one(nginx, "/page", versions=BOTH), 1 << 20)
    assert all(is_well(said, 1 << 20) for said in client(nginx, "/page", count=64))
    assert is_well(one(nginx, "/page", method="HEAD"), 0)
    assert one(nginx, "/none")["status"] == "404"
    assert one(nginx, "/page", method="POST", body=300_000)["status"] == "405"


def test_nginx_that_ends_its_connections_after_five_requests(nginx):
    assert all(is_well(said, 1 << 20) for said in client(nginx, "/few", count=30))


class Echo(grpc.GenericRpcHandler):
    def service(self, call):
        if call.method == "/test.Echo/Unary":
            return grpc.unary_unary_rpc_method_handler(lambda message, _: b"hello" + message)
        if call.method == "/test.Echo/Stream":
            return grpc.stream_stream_rpc_method_handler(lambda messages, _: (b"s" + message for message in messages))
        return None


def test_grpcio():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), handlers=[Echo()])
    with open(sim("peer.pem"), "rb") as chain, open(sim("peer-key.pem"), "rb") as key:
        credentials = grpc.ssl_server_credentials([(key.read(), chain.read())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    fields = [("Content-Type", "application/grpc"), ("TE", "trailers")]
    try:
        # Five zeros are an empty message.
        said = one(port, "/test.Echo/Unary", method="POST", body=5, fields=fields)
        assert is_well(said, 10) and said["trailer"] == "0" and said["head"] == "0000000005" + b"hello".hex()
        for said in client(port, "/test.Echo/Stream", method="POST", body=5 * 1000, fields=fields, count=20):
            assert is_well(said, 6 * 1000) and said["trailer"] == "0" and said["head"].startswith("000000000173" * 8)
        assert one(port, "/test.Echo/None", method="POST", body=5, fields=fields)["status"] == "200"
    finally:
        server.stop(None)


# What the server may say


def test_what_is_sent():
    with Server(lambda wire, stream: wire.answer(stream)) as server:
        fields = [("Connection", "X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "1"), ("X-Mixed", "a")]
        assert is_well(one(server.port, "/a?b", method="POST", body=3, fields=fields))
        authority = f"localhost:{server.port}"
        pseudo = {":method": "POST", ":scheme": "https", ":authority": authority, ":path": "/a?b"}
        assert server.heads == [{**pseudo, "x-mixed": "a", "content-length": "3"}]


def test_streams_stay_within_what_the_server_allows():
    def slowly(wire, stream):
        time.sleep(0.02)
        wire.answer(stream)

    with Server(slowly, {frames.SettingsFrame.MAX_CONCURRENT_STREAMS: 5}) as server:
        assert is_well(one(server.port))
        assert all(is_well(said) for said in client(server.port, count=20))
        assert all(wire.most <= 5 for wire in server.wires)


def test_early_answers_end_uploads():
    def early(wire, stream):
        wire.answer(stream)
        wire.reset(stream, 0)

    with Server(early, early=True) as server:
        assert is_well(one(server.port, method="POST", body=4 << 20))


def test_a_cut_response_is_an_error_after_what_has_come():
    def early(wire, stream):
        wire.raw(
            frames.HeadersFrame(stream, wire.encoder.encode([(":status", "200")]), flags=["END_HEADERS"]).serialize()
            + frames.DataFrame(stream, b"half").serialize()
        )
        socket.socket.shutdown(wire.wire, socket.SHUT_WR)
        time.sleep(1)

    with Server(early, early=True) as server:
        said = one(server.port, method="POST", body=4 << 20)
        assert said["ended"] != "OK" and said["status"] == "200", said


def test_a_server_that_allows_no_requests_is_asked_once():
    class Proved(Attested):
        def proved(self, wire):
            wire.send(frames.SettingsFrame(0, settings={frames.SettingsFrame.MAX_CONCURRENT_STREAMS: 0}))

    with Proved(lambda wire, stream: wire.answer(stream)) as server:
        said = client(server.port, count=8, HTTP2_POLICY=policy())
        assert all(it["ended"] == "BUSY" and "allows no requests" in it["message"] for it in said), said
        assert len(server.wires) == 1 and server.requests == 0


def test_hints_and_trailers():
    def script(wire, stream):
        for _ in range(3):
            wire.head(stream, 103)
        wire.head(stream)
        wire.data(stream, b"ok", ends=False)
        wire.trailers(stream, [("x-sum", "7")])

    with Server(script) as server:
        said = one(server.port)
        assert is_well(said) and said["hints"] == "3" and said["trailer"] == "7"


# What the server did not do can be done again


@pytest.mark.parametrize("method, body", [("GET", 0), ("POST", 100_000)])
def test_requests_that_a_goaway_leaves_out_go_to_another_connection(method, body):
    def script(wire, stream):
        if wire is server.wires[0]:
            wire.go_away(0)
        else:
            wire.answer(stream)

    with Server(script) as server:
        assert all(is_well(said) for said in client(server.port, method=method, body=body, count=3))
        assert len(server.wires) == 2


def test_requests_that_a_goaway_covers_go_on():
    def script(wire, stream):
        if stream == 3:
            wire.go_away(3)
            wire.answer(1)
            wire.answer(3)

    with Server(script) as server:
        assert all(is_well(said) for said in client(server.port, method="POST", count=2, body=1))
        assert len(server.heads) == 2


def test_a_covered_request_that_fails_is_not_sent_again():
    def script(wire, stream):
        wire.go_away(stream, 2)
        wire.wire.close()

    with Server(script) as server:
        said = one(server.port, method="POST", body=1)
        assert said["ended"] != "OK" and said["detail"] != str(NOT_PROCESSED) and len(server.heads) == 1


@pytest.mark.parametrize("times, ends", [(1, "OK"), (3, "OK"), (4, "CLOSED")])
def test_refused_streams_are_tried_again_a_few_times(times, ends):
    def script(wire, stream):
        if len(server.heads) <= times:
            wire.reset(stream, REFUSED_STREAM)
        else:
            wire.answer(stream)

    with Server(script) as server:
        said = one(server.port, method="POST", body=7)
        assert said["ended"] == ends and len(server.heads) == min(times + 1, 4)
        assert ends == "OK" or said["detail"] == str(NOT_PROCESSED)


def test_a_reset_stream_fails_alone():
    def script(wire, stream):
        if stream == 1:
            wire.reset(stream, CANCEL)
        else:
            wire.answer(stream)

    with Server(script) as server:
        said = client(server.port, count=5)
        failed = [it for it in said if not is_well(it)]
        assert len(failed) == 1 and failed[0]["ended"] == "TRUNCATED" and failed[0]["detail"] == str(STREAM_RESET)
        assert len(server.heads) == 5 and len(server.wires) == 1


# New evidence


def policy(**members):
    with open(sim("policy.json")) as file:
        return json.dumps(json.load(file) | {"binding": {"protocols": ["exporter-v1"]}} | members)


class Attested(Server):
    """It proves itself; `refuse` answers every question for evidence but a connection's first one."""

    def __init__(self, script, refuse=None):
        super().__init__(script)
        self.refuse, self.requests = refuse, 0

    def proved(self, wire):
        pass

    def serve(self, wire):
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.use_certificate_chain_file(sim("peer.pem"))
        context.use_privatekey_file(sim("peer-key.pem"))
        context.set_alpn_select_callback(lambda _, offered: b"h2")
        leaf = attested.leaf_of(sim("peer.pem"))
        tls = SSL.Connection(context, wire)
        tls.set_accept_state()
        tls.do_handshake()
        session, server = attested.Session(tls, False, leaf), self

        class Proving(Wire):
            bodies, paths, proofs = {}, {}, 0

            def handle(self, frame):
                if isinstance(frame, frames.DataFrame):
                    self.bodies[frame.stream_id] = self.bodies.get(frame.stream_id, b"") + frame.data
                super().handle(frame)

        def script(wire, stream):
            if server.heads[-1][":path"] != attested.PATH:
                server.requests += 1
                return server.asked(wire, stream)
            wire.proofs += 1
            if wire.proofs > 1 and server.refuse:
                return server.refuse(wire, stream)
            binder = session.binder(wire.bodies[stream])
            answer = attested.answer("S", attested.evidence(sim("agent.sock"), binder, leaf))
            server.proved(wire)
            wire.head(stream)
            for start in range(0, len(answer), 16000):
                wire.data(stream, answer[start : start + 16000], start + 16000 >= len(answer))

        connection = Proving(tls, self)
        connection.bodies, connection.paths = {}, {}
        self.wires.append(connection)
        self.asked, self.script = self.asked if self.asked else self.script, script
        try:
            connection.serve()
        except (EOFError, OSError, SSL.Error):
            pass

    asked = None


@pytest.mark.parametrize("how", ["goaway", "refused"])
def test_a_request_under_way_is_not_sent_again_if_new_evidence_is_refused_unseen(how):
    held = []

    def script(wire, stream):
        held.append(stream)
        if wire is not server.wires[0]:
            wire.answer(stream)

    def refuse(wire, stream):
        if how == "goaway":
            wire.go_away(max(held))
        else:
            wire.reset(stream, REFUSED_STREAM)
        threading.Timer(0.5, lambda: wire.answer(held[0])).start()

    with Attested(script, refuse) as server:
        text = policy(reattest={"interval_s": 1})
        said = client(server.port, method="POST", count=2, body=1, HTTP2_POLICY=text, HTTP2_PAUSE_MS="1500")
        assert all(is_well(it) for it in said), said
        assert server.requests == 2 and len(server.wires) == 2


# What no server should send


def flood(wire, frame):
    data = frame.serialize() * 200
    while True:
        wire.raw(data)


def hostile(what):
    def head(wire, stream, fields, status=200):
        wire.head(stream, status, fields)
        wire.data(stream, b"ok")

    scripts = {
        "a promise": lambda wire, stream: wire.send(
            frames.PushPromiseFrame(stream, 2, wire.encoder.encode([(":path", "/")]), flags=["END_HEADERS"])
        ),
        "an own stream": lambda wire, stream: wire.head(2),
        "101": lambda wire, stream: head(wire, stream, [], 101),
        "a field of a connection": lambda wire, stream: head(wire, stream, [("connection", "close")]),
        "transfer coding": lambda wire, stream: head(wire, stream, [("transfer-encoding", "chunked")]),
        "two lengths": lambda wire, stream: head(wire, stream, [("content-length", "2"), ("content-length", "3")]),
        "a short body": lambda wire, stream: head(wire, stream, [("content-length", "9")]),
        "a long body": lambda wire, stream: head(wire, stream, [("content-length", "1")]),
        "a body that is cut": lambda wire, stream: (wire.head(stream), wire.data(stream, b"o", ends=False), wire.wire.close()),
        "a large head": lambda wire, stream: head(wire, stream, [(f"x{n}", "y" * 4000) for n in range(100)]),
        "many fields": lambda wire, stream: head(wire, stream, [(f"x{n}", "y") for n in range(300)]),
        "data before a head": lambda wire, stream: wire.data(stream, b"ok"),
        "too much data": lambda wire, stream: (wire.head(stream), [wire.data(stream, bytes(16384), False) for _ in range(3000)]),
        "hints without end": lambda wire, stream: [wire.head(stream, 103) for _ in range(10_000_000)],
        "empty data": lambda wire, stream: (wire.head(stream), flood(wire, frames.DataFrame(stream))),
        "continuations": lambda wire, stream: (
            wire.raw(frames.HeadersFrame(stream, b"").serialize()),
            flood(wire, frames.ContinuationFrame(stream, b"")),
        ),
        "no frames": lambda wire, stream: wire.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        "a frame too large": lambda wire, stream: wire.raw(b"\x00\x80\x00\x00\x00" + stream.to_bytes(4, "big") + bytes(32768)),
        "a window too large": lambda wire, stream: [wire.send(frames.WindowUpdateFrame(0, window_increment=0x7FFFFFFF)) for _ in range(2)],
        "no window": lambda wire, stream: wire.raw(b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
        "a setting that cannot be": lambda wire, stream: wire.raw(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x05"),
    }
    return scripts if what is None else scripts[what]


@pytest.mark.parametrize("what", hostile(None))
def test_what_no_server_should_send_is_an_error(what):
    with Server(hostile(what)) as server:
        began = time.monotonic()
        said = one(server.port, method="POST", body=1)
        assert said["ended"] in ("HTTP_PROTOCOL", "TRUNCATED", "IO", "CLOSED"), said
        assert said["detail"] != str(NOT_PROCESSED) and time.monotonic() - began < 15 and len(server.heads) == 1, said
        details = {"hints without end": TOO_MANY_INFORMATIONAL, "101": UNASKED_UPGRADE}
        assert said["detail"] == str(details.get(what, said["detail"])), said


@pytest.mark.parametrize("frame", [frames.PingFrame(0, bytes(8)), frames.SettingsFrame(0)])
def test_floods_that_ask_for_answers_end_with_the_deadline_at_the_latest(frame):
    with Server(lambda wire, stream: flood(wire, frame)) as server:
        assert one(server.port)["ended"] != "OK"


def test_a_server_that_does_not_begin_as_http_2():
    with Server(lambda wire, stream: wire.answer(stream), greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        said = one(server.port)
        assert said["ended"] in ("HTTP_PROTOCOL", "TRUNCATED", "IO"), said
