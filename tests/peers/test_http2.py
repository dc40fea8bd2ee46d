"""The server over HTTP/2: by curl, httpx, h2load and grpcio, by PyPI's h2, and by frames that no client should send (RFC 9113)."""

import asyncio
import hashlib
import json
import os
import socket
import ssl
import subprocess
import time

import grpc
import h2.errors
import h2.events
import h2.settings
import hpack
import httpx
import hyperframe.frame as frames
import pytest
from OpenSSL import SSL

from h2_client import HTTP_1_1, HTTP_2, Client, Server, connect

PROGRAM = os.environ["HTTP2_SERVER"]
Code = h2.errors.ErrorCodes


@pytest.fixture(scope="module")
def server():
    with Server(PROGRAM) as server:
        yield server


@pytest.fixture
def client(server):
    with Client(server.port) as client:
        yield client


def sim(name):
    return os.path.join(os.environ["ATLS_SIM"], name)


# Which version is spoken


def test_the_version_is_agreed_on_by_alpn(server):
    for alpn, agreed in [(["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), ([], None)]:
        with connect(server.port, alpn) as wire:
            assert wire.selected_alpn_protocol() == agreed
            if agreed != "h2":
                wire.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert b"GET a version=2 host=a" in wire.makefile("rb").read()


@pytest.mark.parametrize("versions, alpn", [(HTTP_1_1, ["h2"]), (HTTP_2, ["http/1.1"]), (0, ["h2"])])
def test_a_version_that_is_off_is_not_spoken(versions, alpn):
    with Server(PROGRAM, versions) as server:
        with pytest.raises(ssl.SSLError), connect(server.port, alpn) as wire:
            assert wire.recv(1) is None


def test_a_client_without_alpn_does_not_get_http_2():
    with Server(PROGRAM, HTTP_2) as server, connect(server.port, []) as wire:
        try:
            wire.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert wire.recv(100) == b""
        except (ConnectionError, ssl.SSLError):
            pass


# Clients of others


def curl(server, *arguments):
    line = ["curl", "-sSk", "--max-time", "60", "--resolve", f"localhost:{server.port}:127.0.0.1", *arguments]
    return subprocess.run(line, capture_output=True, check=True).stdout


def test_curl(server, tmp_path):
    url = f"https://localhost:{server.port}"
    shown = curl(server, "--http2", "-w", " %{http_version}", url + "/")
    assert shown == f"GET localhost:{server.port} version=4 host=localhost:{server.port} cookie= 2".encode()
    assert curl(server, "--http2", "-I", url + "/").startswith(b"HTTP/2 200")
    data = os.urandom(4 << 20)
    (tmp_path / "data").write_bytes(data)
    assert curl(server, "--http2", "-T", str(tmp_path / "data"), url + "/echo") == data
    assert curl(server, "--http2", url + "/zeros") == bytes(4 << 20)
    assert curl(server, "--http2", "-w", "%{http_code}", url + "/none") == b"204"
    many = curl(server, "--http2", "--parallel", *[part for n in range(50) for part in ("-o", "/dev/null", f"{url}/{n}")])
    assert many == b""
    assert curl(server, "--http1.1", "-w", " %{http_version}", url + "/").endswith(b"1.1")


def test_httpx_with_64_requests_at_a_time(server):
    async def fetch():
        async with httpx.AsyncClient(http2=True, verify=False) as client:
            url = f"https://127.0.0.1:{server.port}"
            answers = await asyncio.gather(*[client.get(f"{url}/{n}") for n in range(64)])
            assert all(answer.http_version == "HTTP/2" and answer.status_code == 200 for answer in answers)
            echoed = await client.post(f"{url}/echo", content=b"x" * 1_000_000)
            assert len(echoed.content) == 1_000_000

    asyncio.run(fetch())


def test_h2load(server):
    line = ["h2load", "-n", "3000", "-c", "4", "-m", "50", f"https://127.0.0.1:{server.port}/"]
    said = subprocess.run(line, capture_output=True, check=True, text=True).stdout
    assert "3000 succeeded, 0 failed" in said and "Application protocol: h2" in said, said


def test_grpc_with_trailers(server):
    credentials = grpc.ssl_channel_credentials(open(sim("web-ca.pem"), "rb").read())
    with grpc.secure_channel(f"localhost:{server.port}", credentials) as channel:
        say = channel.stream_stream("/grpc.Echo/Say")
        assert list(say(iter([b"one", b"two", b"x" * 300_000]), timeout=20)) == [b"one", b"two", b"x" * 300_000]
        answer, call = channel.unary_unary("/grpc.Echo/Say").with_call(b"again", timeout=20)
        assert answer == b"again" and dict(call.trailing_metadata())["x-count"] == "10"


# Messages


def test_heads(client):
    status, fields, body, _ = client.answer(client.request(more=[("cookie", "a=1"), ("cookie", "b=2")]))
    assert (status, body) == ("200", b"GET localhost version=4 host=localhost cookie=a=1; b=2")
    assert "date" in fields and fields["content-length"] == str(len(body))
    status, fields, body, _ = client.answer(client.request(method="HEAD"))
    assert (status, body) == ("200", b"") and int(fields["content-length"]) > 10
    assert client.answer(client.request("/none"))[0::2] == ("204", b"")


def test_informational_responses(client):
    stream = client.request("/hints")
    assert client.answer(stream)[0::2] == ("200", b"hints")
    hints = client.until(h2.events.InformationalResponseReceived, stream)
    assert dict(hints.headers) == {":status": "103", "link": "</a>"}


def test_continue_is_sent_when_the_host_wants_the_body(client):
    stream = client.request("/echo", "POST", [("expect", "100-continue")], end=False)
    # The host has answered already, so that nothing is asked for; the body is read all the same.
    client.h2.send_data(stream, b"body", end_stream=True)
    client.flush()
    assert client.answer(stream)[2] == b"body"
    stream = client.request("/", "POST", [("expect", "100-continue")], end=False)
    assert dict(client.until(h2.events.InformationalResponseReceived, stream).headers)[":status"] == "100"
    client.h2.send_data(stream, b"body", end_stream=True)
    client.flush()
    assert client.answer(stream)[0] == "200"


def test_trailers_both_ways(client):
    stream = client.request("/echo", "POST", body=b"12345", end=False)
    client.h2.send_headers(stream, [("x-sum", "1")], end_stream=True)
    client.flush()
    status, _, body, trailers = client.answer(stream)
    assert (status, body, trailers["x-count"]) == ("200", b"12345", "5")


def test_streams_do_not_wait_for_each_other(client):
    slow = client.request("/echo", "POST", body=b"a", end=False)
    assert client.answer(client.request("/"))[0] == "200"
    client.h2.send_data(slow, b"b", end_stream=True)
    client.flush()
    assert client.answer(slow)[2] == b"ab"


def test_a_response_that_is_cut_short_does_not_end_well(client, server):
    kind, reason, *_ = client.answer(client.request("/short"))
    assert (kind, reason) == ("reset", Code.INTERNAL_ERROR)
    server.wait_for("closed /short 104")
    assert client.answer(client.request("/"))[0] == "200"


def test_a_stream_that_its_client_resets_ends_for_the_host(client, server):
    stream = client.request("/never")
    client.answer(client.request("/"))
    client.h2.reset_stream(stream)
    client.flush()
    server.wait_for("closed /never")
    assert client.answer(client.request("/"))[0] == "200"


def test_what_is_about_a_connection_ends_it_and_is_not_sent(client):
    status, fields, body, _ = client.answer(client.request("/hop"))
    assert (status, body) == ("200", b"hop") and not {"connection", "keep-alive"} & set(fields)
    assert client.last_word() == Code.NO_ERROR


def test_a_body_beyond_the_limit_is_refused(client):
    assert client.answer(client.request("/", "POST", [("content-length", str(9 << 20))], end=False))[0] == "413"
    assert client.answer(client.request("/"))[0] == "200"


# Attestation


def test_the_evidence_is_bound_to_the_session(server):
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_alpn_protos([b"h2"])
    wire = socket.create_connection(("127.0.0.1", server.port), 10)
    wire.settimeout(None)
    session = SSL.Connection(context, wire)
    session.set_tlsext_host_name(b"localhost")
    session.set_connect_state()
    session.do_handshake()

    class Wire:
        def __getattr__(self, name):
            return getattr(session, name)

        def settimeout(self, _):
            pass

        def recv(self, count):
            try:
                return session.recv(count)
            except SSL.ZeroReturnError:
                return b""

        def close(self):
            wire.close()

    exporter = session.export_keying_material(b"EXPORTER-Channel-Binding", 32)
    with Client(server.port, Wire()) as client:
        nonces = [os.urandom(32) for _ in range(3)]
        asked = [client.request("/tdx_quote", "POST", body=json.dumps({"nonce_hex": n.hex()}).encode()) for n in nonces]
        other = client.request("/")
        for nonce, stream in zip(nonces, asked):
            status, fields, body, _ = client.answer(stream)
            assert (status, fields["content-type"]) == ("200", "application/json")
            # At byte 568 of a TDX quote (version 4), behind its header of 48 bytes and 520 of the body.
            quote = bytes.fromhex(json.loads(body)["quote"]["quote"])
            assert quote[568:632] == hashlib.sha512(nonce + exporter).digest()
        assert client.answer(other)[0] == "200"
        bad = client.answer(client.request("/tdx_quote", "POST", body=b"{}"))
        assert bad[0] == "422"
        assert client.answer(client.request("/tdx_quote", "POST", body=b"x" * 5000))[0] == "413"


def test_a_client_that_must_prove_itself_is_answered_nothing_before():
    with Server(PROGRAM, HTTP_2, "peer-policy.json") as server, Client(server.port) as client:
        early = [client.request("/"), client.request("/echo", "POST", body=b"x")]
        assert [client.answer(stream)[0] for stream in early] == ["403", "403"]
        assert client.last_word() == Code.NO_ERROR
        server.wait_for("refused this server asks its clients for evidence")
    assert not any(line.startswith("closed") for line in server.said)


def wrong_proof(client, **how):
    return client.request("/atls/exporter-v1/client", "POST", body=b"{}", **how)


def test_wrong_proofs_are_judged_eight_times_at_most():
    with Server(PROGRAM, HTTP_2, "peer-policy.json") as server, Client(server.port) as client:
        # None of them waits for an answer, and the ping of the shutdown has none either.
        streams = [wrong_proof(client) for _ in range(40)]
        answers = [client.answer(stream)[:2] for stream in streams]
        assert [status for status, _ in answers[:8]] == ["403"] * 8, answers
        assert all(answer == ("reset", Code.REFUSED_STREAM) for answer in answers[8:]), answers
        assert client.last_word() == Code.NO_ERROR
    assert sum(line.startswith("refused") for line in server.said) == 8


def test_one_body_of_evidence_is_read_at_a_time():
    with Server(PROGRAM, HTTP_2, "peer-policy.json") as server, Client(server.port) as client:
        client.until(h2.events.WindowUpdated, 0)
        client.events.clear()
        first = wrong_proof(client, end=False)
        others = [wrong_proof(client, end=False) for _ in range(3)]
        for stream in 3 * others:
            client.h2.send_data(stream, b" " * 16_000)
        client.flush()
        done = wrong_proof(client)
        time.sleep(0.5)
        client.h2.ping(b"12345678")
        client.flush()
        client.until(h2.events.PingAckReceived)
        ids = [getattr(event, "stream_id", None) for event in client.events]
        # Nothing was read of the others: no window was opened again, and nothing answered.
        assert not set(ids) & {done, *others}, client.events
        for stream in [first, *others]:
            client.h2.end_stream(stream)
        client.flush()
        assert [client.answer(stream)[0] for stream in [first, *others, done]] == ["403"] * 5


# Limits and ends


def test_no_more_streams_than_were_announced(client):
    client.until(h2.events.RemoteSettingsChanged)
    most = client.h2.remote_settings.max_concurrent_streams
    assert most == 100
    # h2 would not open more than that.
    client.h2.remote_settings.acknowledge()
    client.h2.remote_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = 1000
    client.h2.remote_settings.acknowledge()
    streams = [client.request("/never") for _ in range(most)]
    beyond = client.request("/never")
    assert client.answer(beyond)[:2] == ("reset", Code.REFUSED_STREAM)
    client.h2.reset_stream(streams[0])
    client.flush()
    assert client.answer(client.request("/"))[0] == "200"


def test_a_client_that_resets_all_it_opens_is_sent_away(server):
    with Client(server.port) as client:
        try:
            for _ in range(2000):
                stream = client.request("/never")
                client.h2.reset_stream(stream)
                client.flush()
        except OSError:
            pass
        assert client.last_word() in (Code.ENHANCE_YOUR_CALM, None)
    with Client(server.port) as other:
        assert other.answer(other.request("/"))[0] == "200"


def test_a_peer_that_takes_nothing_is_given_up(server):
    with Client(server.port) as client:
        client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        client.flush()
        stream = client.request("/zeros")
        begun = time.monotonic()
        reset = client.until(h2.events.StreamReset, stream, 15, acknowledge=False)
        assert reset.error_code == Code.INTERNAL_ERROR and 2 < time.monotonic() - begun < 10
        server.wait_for("closed /zeros")


def test_a_peer_that_answers_no_ping_is_gone(server):
    with Client(server.port) as client:
        client.request("/never")
        begun = time.monotonic()
        client.wire.settimeout(20)
        try:
            while client.wire.recv(65536):
                pass
        except (ConnectionError, ssl.SSLError):
            pass
        assert 2 < time.monotonic() - begun < 15
    with Client(server.port) as client:
        # One that answers stays for as long.
        stream = client.request("/never")
        client.h2.ping(b"12345678")
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            client.wire.settimeout(0.2)
            try:
                assert client.pump()
            except TimeoutError:
                pass
        client.h2.reset_stream(stream)
        client.flush()
        assert client.answer(client.request("/"))[0] == "200"


def test_a_server_that_stops_waits_for_no_preface():
    with Server(PROGRAM) as server, connect(server.port) as wire:
        # The server's settings; then nothing but the end.
        assert wire.recv(1000)
        server.stop()
        wire.settimeout(3)
        try:
            assert wire.recv(1000) == b""
        except (ConnectionError, ssl.SSLError):
            pass


def test_a_window_that_opens_byte_by_byte(client):
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1})
    client.flush()
    assert client.answer(client.request("/hints"))[2] == b"hints"


def test_an_idle_connection_is_closed_in_order(server):
    with Client(server.port) as client:
        assert client.answer(client.request("/"))[0] == "200"
        begun = time.monotonic()
        assert client.last_word(15) == Code.NO_ERROR
        assert 2 < time.monotonic() - begun < 12


def test_a_server_that_stops_lets_requests_end():
    with Server(PROGRAM) as server, Client(server.port) as client:
        stream = client.request("/echo", "POST", body=b"before ", end=False)
        client.until(h2.events.ResponseReceived, stream)
        server.stop()
        client.until(h2.events.ConnectionTerminated)
        client.h2.send_data(stream, b"after", end_stream=True)
        client.flush()
        status, _, body, _ = client.answer(stream)
        assert (status, body) == ("200", b"before after")
        assert client.last_word() == Code.NO_ERROR


def test_a_connection_that_ends_takes_no_more_requests():
    with Server(PROGRAM) as server, Client(server.port) as client:
        held = client.request("/echo", "POST", body=b"before", end=False)
        client.until(h2.events.ResponseReceived, held)
        server.stop()
        # Without an answer to the ping of the shutdown.
        time.sleep(2.6)
        late = client.request("/")
        assert client.answer(late)[:2] == ("reset", Code.REFUSED_STREAM)
        client.h2.end_stream(held)
        client.flush()
        assert client.answer(held)[0::2] == ("200", b"before")


def test_uploads_that_wait_leave_room_for_others(client):
    client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    client.flush()
    client.until(h2.events.SettingsAcknowledged)
    held = [client.request("/echo", "POST", end=False) for _ in range(8)]
    quiet_at = time.monotonic() + 1
    client.wire.settimeout(0.02)
    while time.monotonic() < quiet_at:
        for stream in held:
            # The host takes no more of it than it can echo, and the windows for that are closed.
            room = min(client.h2.local_flow_control_window(stream), client.h2.max_outbound_frame_size)
            if room:
                client.h2.send_data(stream, b"x" * room)
        client.flush()
        try:
            client.pump()
        except TimeoutError:
            pass
    other = client.request("/", "POST", end=False)
    assert client.h2.local_flow_control_window(other) > 60_000
    client.h2.increment_flow_control_window(1000, other)
    client.h2.send_data(other, b"x" * 16_000, end_stream=True)
    client.flush()
    assert client.answer(other, 2)[0] == "200"
    client.h2.close_connection()
    client.flush()


# What is refused: heads


@pytest.mark.parametrize(
    "status, fields",
    [
        ("400", dict(authority="a", more=[("host", "b")])),
        ("400", dict(authority="me@a")),
        ("400", dict(authority=None)),
        ("400", dict(authority=None, more=[("host", "a"), ("host", "a")])),
        ("400", dict(method="POST", more=[("content-length", "1x")])),
        ("501", dict(method="CONNECT", path=None, scheme=None, authority="a:1")),
        ("431", dict(more=[(f"x-{n}", "1") for n in range(300)])),
        ("431", dict(more=[(f"x-{n}", "y" * 2000) for n in range(40)])),
    ],
)
def test_a_head_that_http_1_1_refuses_too(client, status, fields):
    answer = client.answer(client.request(**fields))
    # What h2 itself finds malformed ends the stream without an answer.
    assert answer[0] == status or answer[:2] == ("reset", Code.PROTOCOL_ERROR), answer
    assert client.answer(client.request("/"))[0] == "200"


def test_one_field_beyond_the_limit_of_a_head_ends_the_connection(server):
    # A literal field whose value is 100,000 bytes, in frames as large as may be (RFC 7541 sections 5.1 and 6.2.2).
    head = block() + b"\x00\x01x" + bytes([0x7F, 0xA1, 0x8C, 0x06]) + b"y" * 100_000
    first, rest = head[:16_384], [head[at : at + 16_384] for at in range(16_384, len(head), 16_384)]
    sent = header(len(first), HEADERS, 1, 1) + first
    sent += b"".join(header(len(part), 9, 4 * (part is rest[-1]), 1) + part for part in rest)
    with Client(server.port) as client:
        client.raw(sent)
        assert reset_of(client, 1) in (Code.COMPRESSION_ERROR, Code.ENHANCE_YOUR_CALM, "closed")
    with Client(server.port) as other:
        assert other.answer(other.request("/"))[0] == "200"


@pytest.mark.parametrize(
    "fields",
    [
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a"), ("X-Upper", "1")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a"), ("connection", "close")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a"), ("transfer-encoding", "chunked")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a"), ("te", "gzip")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a"), (":x", "1")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a"), (":status", "200")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("x", "1"), (":authority", "a")],
        [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":path", "/"), (":authority", "a")],
        [(":method", "GET"), (":scheme", "https"), (":authority", "a")],
        [(":method", "GET"), (":scheme", "https"), (":path", ""), (":authority", "a")],
        [(":method", "GET"), (":path", "/"), (":authority", "a")],
        [(":scheme", "https"), (":path", "/"), (":authority", "a")],
    ],
)
def test_a_malformed_head_is_a_stream_error(server, client, fields):
    told = len(server.said)
    client.answer(client.request("/"))
    stream = client.h2.get_next_available_stream_id()
    block = hpack.Encoder().encode(fields)
    client.raw(frames.HeadersFrame(stream, block, flags=["END_STREAM", "END_HEADERS"]).serialize())
    client.h2.highest_outbound_stream_id = stream
    ended, seen = end_of(client, stream)
    assert seen == Code.PROTOCOL_ERROR, seen
    # The host is told of it if it ends the connection, and not if it ends the stream.
    if ended == "connection":
        server.wait_for("refused HTTP/2", told)
    with Client(server.port) as other:
        assert other.answer(other.request("/"))[0] == "200"
    assert any(line.startswith("refused") for line in server.said[told:]) == (ended == "connection"), server.said[told:]


@pytest.mark.parametrize("length, body", [("3", b"four"), ("5", b"four")])
def test_a_body_of_another_length_than_announced_is_a_stream_error(length, body):
    with Server(PROGRAM) as server, Client(server.port) as client:
        stream = client.request("/echo", "POST", [("content-length", length)], end=False)
        # The host has the request.
        client.until(h2.events.ResponseReceived, stream)
        client.raw(frames.DataFrame(stream, body, flags=["END_STREAM"]).serialize())
        assert reset_of(client, stream) == Code.PROTOCOL_ERROR
        # HTTP_PROTOCOL: the client has broken HTTP, and not reset the stream.
        server.wait_for("closed /echo 501")


@pytest.mark.parametrize("end", ["close_notify", "FIN"])
def test_the_end_of_the_clients_direction_ends_its_requests(end):
    with Server(PROGRAM) as server, Client(server.port) as client:
        client.request("/never")
        assert client.answer(client.request("/"))[0] == "200"
        try:
            client.wire.shutdown(socket.SHUT_WR) if end == "FIN" else client.wire.unwrap()
        except OSError:
            pass
        server.wait_for("closed /never 2")
        if end == "FIN":
            assert client.last_word() in (Code.NO_ERROR, None)


def reset_of(client, stream, seconds=10):
    """The reason for which the stream, or the connection, was ended."""
    return end_of(client, stream, seconds)[1]


def end_of(client, stream, seconds=10):
    """Which of the two was ended, and the reason, read from the frames themselves."""
    deadline, buffer = time.monotonic() + seconds, b""
    client.wire.settimeout(seconds)
    while time.monotonic() < deadline:
        try:
            data = client.wire.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        if not data:
            return "connection", "closed"
        buffer += data
        while len(buffer) >= 9:
            frame, length = frames.Frame.parse_frame_header(memoryview(buffer[:9]))
            if len(buffer) < 9 + length:
                break
            frame.parse_body(memoryview(buffer[9 : 9 + length]))
            buffer = buffer[9 + length :]
            if isinstance(frame, frames.GoAwayFrame) and frame.error_code:
                return "connection", Code(frame.error_code)
            if isinstance(frame, frames.RstStreamFrame) and frame.stream_id == stream:
                return "stream", Code(frame.error_code)
    raise AssertionError("nothing was ended")


# What is refused: frames


def header(length, kind, flags, stream):
    return length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")


def block(path="/"):
    return hpack.Encoder().encode([(":method", "GET"), (":scheme", "https"), (":path", path), (":authority", "a")])


HEADERS, ENDS = 1, 4 | 1
OPEN = header(len(block("/never")), HEADERS, 4, 1) + block("/never")
DONE = header(len(block("/never")), HEADERS, ENDS, 1) + block("/never")

BROKEN = {
    "data on no stream": (header(1, 0, 0, 0) + b"x", Code.PROTOCOL_ERROR),
    "data on an idle stream": (header(1, 0, 0, 7) + b"x", Code.PROTOCOL_ERROR),
    "data after the end": (DONE + header(1, 0, 1, 1) + b"x", Code.STREAM_CLOSED),
    "data with too much padding": (OPEN + header(2, 0, 8, 1) + b"\x02x", Code.PROTOCOL_ERROR),
    "a head on no stream": (header(len(block()), HEADERS, ENDS, 0) + block(), Code.PROTOCOL_ERROR),
    "a head on a stream of the server": (header(len(block()), HEADERS, ENDS, 2) + block(), Code.PROTOCOL_ERROR),
    "a head on a lower stream": (
        header(len(block("/never")), HEADERS, 4, 5) + block("/never") + header(len(block()), HEADERS, ENDS, 3) + block(),
        Code.PROTOCOL_ERROR,
    ),
    "a head that HPACK cannot read": (header(1, HEADERS, ENDS, 1) + b"\xff", Code.COMPRESSION_ERROR),
    "a head with another frame in between": (
        header(1, HEADERS, 1, 1) + block()[:1] + header(8, 6, 0, 0) + bytes(8),
        Code.PROTOCOL_ERROR,
    ),
    "a continuation of nothing": (header(1, 9, 4, 1) + b"x", Code.PROTOCOL_ERROR),
    "a frame that is too large": (OPEN + header(16_385, 0, 0, 1) + bytes(16_385), Code.FRAME_SIZE_ERROR),
    "a priority of the wrong size": (header(4, 2, 0, 1) + bytes(4), Code.FRAME_SIZE_ERROR),
    "a reset of an idle stream": (header(4, 3, 0, 1) + bytes(4), Code.PROTOCOL_ERROR),
    "a reset of no stream": (header(4, 3, 0, 0) + bytes(4), Code.PROTOCOL_ERROR),
    "a reset of the wrong size": (OPEN + header(3, 3, 0, 1) + bytes(3), Code.FRAME_SIZE_ERROR),
    "settings on a stream": (header(0, 4, 0, 1), Code.PROTOCOL_ERROR),
    "settings of the wrong size": (header(5, 4, 0, 0) + bytes(5), Code.FRAME_SIZE_ERROR),
    "an acknowledgement with settings": (header(6, 4, 1, 0) + bytes(6), Code.FRAME_SIZE_ERROR),
    "a push setting of 2": (header(6, 4, 0, 0) + b"\0\x02\0\0\0\x02", Code.PROTOCOL_ERROR),
    "an initial window beyond 2^31": (header(6, 4, 0, 0) + b"\0\x04\x80\0\0\0", Code.FLOW_CONTROL_ERROR),
    "a frame size below 2^14": (header(6, 4, 0, 0) + b"\0\x05\0\0\x0f\xff", Code.PROTOCOL_ERROR),
    "a push by a client": (header(4, 5, 4, 1) + bytes(4), Code.PROTOCOL_ERROR),
    "a ping on a stream": (header(8, 6, 0, 1) + bytes(8), Code.PROTOCOL_ERROR),
    "a ping of the wrong size": (header(6, 6, 0, 0) + bytes(6), Code.FRAME_SIZE_ERROR),
    "a goodbye on a stream": (header(8, 7, 0, 1) + bytes(8), Code.PROTOCOL_ERROR),
    "a window that opens by nothing": (header(4, 8, 0, 0) + bytes(4), Code.PROTOCOL_ERROR),
    "a window of a stream that opens by nothing": (OPEN + header(4, 8, 0, 1) + bytes(4), Code.PROTOCOL_ERROR),
    "a window beyond 2^31": (header(4, 8, 0, 0) + b"\x7f\xff\xff\xff", Code.FLOW_CONTROL_ERROR),
    "a window of a stream beyond 2^31": (OPEN + header(4, 8, 0, 1) + b"\x7f\xff\xff\xff", Code.FLOW_CONTROL_ERROR),
    "a window of an idle stream": (header(4, 8, 0, 1) + b"\0\0\0\x01", Code.PROTOCOL_ERROR),
    "more data than the window": (OPEN + (header(16_384, 0, 0, 1) + bytes(16_384)) * 80, Code.FLOW_CONTROL_ERROR),
}


@pytest.mark.parametrize("name", BROKEN)
def test_frames_that_break_the_protocol(server, name):
    sent, reason = BROKEN[name]
    with Client(server.port) as client:
        client.raw(sent)
        seen = reset_of(client, 1)
        # RFC 9113 section 5.4.1: an end may be that of the connection alone.
        assert seen == reason or seen in (Code.PROTOCOL_ERROR, "closed"), seen
    with Client(server.port) as other:
        assert other.answer(other.request("/"))[0] == "200"


def test_what_is_unknown_is_ignored(client):
    client.raw(header(3, 0x42, 0xFF, 0) + b"abc" + header(6, 4, 0, 0) + b"\x77\x77\0\0\0\x01")
    client.raw(header(5, 2, 0, 9) + b"\0\0\0\0\x10")
    assert client.answer(client.request("/"))[0] == "200"
    client.h2.ping(b"12345678")
    client.flush()
    assert client.until(h2.events.PingAckReceived).ping_data == b"12345678"


@pytest.mark.parametrize(
    "flood",
    [
        header(1, HEADERS, 1, 1) + block()[:1] + (header(1000, 9, 0, 1) + b"\0\x01a\x01b" * 200) * 3000,
        OPEN + header(0, 0, 0, 1) * 200_000,
        header(8, 6, 0, 0) * 1 + bytes(8) + (header(8, 6, 0, 0) + bytes(8)) * 100_000,
        (header(6, 4, 0, 0) + b"\0\x04\0\0\xff\xff") * 100_000,
    ],
    ids=["continuations", "empty data", "pings", "settings"],
)
def test_floods_are_bounded(server, flood):
    size = lambda: int(open(f"/proc/{server.process.pid}/statm").read().split()[1]) * 4096
    before = size()
    wire = connect(server.port)
    wire.settimeout(5)
    try:
        wire.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + header(0, 4, 0, 0) + flood)
    except OSError:
        pass
    assert size() - before < 32 << 20
    wire.close()
    with Client(server.port) as other:
        assert other.answer(other.request("/"))[0] == "200"


def test_a_preface_that_is_none_is_not_answered_as_a_request(server):
    with connect(server.port) as wire:
        wire.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + bytes(100))
        try:
            assert b"200" not in wire.makefile("rb").read()
        except (ConnectionError, ssl.SSLError):
            pass
