"""`atls serve`: what it proves, what it tells its upstream, what it refuses to start with."""

import json
import shutil
import signal
import ssl
import subprocess

import pytest

from proxying import SIM, TOOL, Service, Upstream, dial, get, proxy, read_body, receive, respond, serve, wait_for


@pytest.fixture(scope="module")
def upstream():
    def seen(handler):
        read_body(handler)
        respond(handler, body=str(handler.headers).encode())

    def location(handler):
        respond(handler, 307, fields=[("Location", "https://login.example/?next=1"), ("Refresh", "5")])

    with Upstream({"/seen": seen, "/location": location}) as upstream:
        yield upstream


def tls_get(port, text, name="localhost"):
    """The response over TLS without attestation, as an ordinary client gets it; and the server's certificate."""
    context = ssl.create_default_context(cafile=SIM / "web-ca.pem")
    with context.wrap_socket(dial(port), server_hostname=name) as connection:
        connection.sendall(text.encode())
        return receive(connection), connection.getpeercert(binary_form=True)


FORGED = "Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\nX-Real-Ip: 6.6.6.6\r\nX-Forwarded-User: root\r\n"


def test_clients_cannot_say_who_they_are(upstream):
    with serve(upstream.port) as it:
        answer, _ = tls_get(it.port, f"GET /seen HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{FORGED}\r\n")
        assert answer.startswith(b"HTTP/1.1 200") and b"6.6.6.6" not in answer and b"orwarded" not in answer and b"root" not in answer
        assert f"Host: 127.0.0.1:{upstream.port}".encode() in answer


@pytest.mark.parametrize("name", ["X_Forwarded_For", "X_Real_IP", "x-forwarded_for", "X.Forwarded.For", "X-Forwarded", "Proxy", "Any_Thing"])
@pytest.mark.parametrize("options", [[], ["--forwarded"]])
def test_names_that_could_be_taken_for_others_are_left_out(upstream, name, options):
    with serve(upstream.port, *options) as it:
        answer, _ = tls_get(it.port, f"GET /seen HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Kept: 1\r\n{name}: 6.6.6.6\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200") and b"X-Kept: 1" in answer and b"6.6.6.6" not in answer


def test_the_application_may_redirect(upstream):
    with serve(upstream.port) as it:
        answer, _ = tls_get(it.port, "GET /location HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 307") and b"Location: https://login.example/?next=1\r\n" in answer and b"Refresh: 5" in answer
        with proxy(it.port) as client: # which answers for its own clients
            assert get(client.port, "/location")[0] == 502


def test_what_is_known_of_clients_is_told_if_wanted(upstream):
    with serve(upstream.port, "--forwarded") as it:
        answer, _ = tls_get(it.port, f"GET /seen HTTP/1.1\r\nHost: llm.example\r\nConnection: close\r\n{FORGED}\r\n")
        assert b"6.6.6.6" not in answer and b"root" not in answer
        for field in (b'Forwarded: for=127.0.0.1;proto=https;host="llm.example"', b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Proto: https",
                      b"X-Forwarded-Host: llm.example"):
            assert field in answer, answer
        answer, _ = tls_get(it.port, 'GET /seen HTTP/1.1\r\nHost: a";by="b\r\nConnection: close\r\n\r\n')
        assert b'by="b' not in answer


def test_requests_for_evidence_do_not_reach_the_upstream(upstream):
    before = len(upstream.requests)
    with serve(upstream.port) as it:
        for path in ("/tdx_quote", "/atls/exporter-v1"):
            tls_get(it.port, f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}")
    assert len(upstream.requests) == before


def test_both_protocols_prove_it(upstream):
    with serve(upstream.port) as it:
        for policy in ("policy.json", "strict-policy.json"):
            with proxy(it.port, policy=policy) as client:
                assert get(client.port)[0] == 200


def test_in_a_session_for_another_name_it_proves_nothing(upstream):
    with serve(upstream.port, "--name", "llm.example") as it, proxy(it.port, policy="strict-policy.json") as client:
        status, answer = get(client.port)
        assert status == 502 and json.loads(answer.split(b"\r\n\r\n", 1)[1])["status"] in ("NO_EVIDENCE", "BINDING_MISMATCH"), answer


def test_an_upstream_that_is_gone_and_back(upstream):
    with Upstream() as gone:
        port = gone.port
    with serve(port) as it:
        ask = "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answer, _ = tls_get(it.port, ask)
        assert answer.startswith(b"HTTP/1.1 502") and b'"status":"IO"' in answer
        with Upstream(port=port):
            assert tls_get(it.port, ask)[0].startswith(b"HTTP/1.1 200")


def test_a_renewed_certificate_is_read_on_sighup(upstream, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    shutil.copy(SIM / "peer.pem", cert)
    shutil.copy(SIM / "peer-key.pem", key)
    with serve_with(upstream, cert, key) as it:
        ask = "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        first = tls_get(it.port, ask)[1]
        cert.write_text("broken")
        it.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "the former certificate stays" in it.log(), "the notice")
        assert tls_get(it.port, ask)[1] == first
        shutil.copy(SIM / "next.pem", cert)
        shutil.copy(SIM / "next-key.pem", key)
        it.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "was read again" in it.log(), "the notice")
        assert tls_get(it.port, ask)[1] != first
        with proxy(it.port) as client:
            assert get(client.port)[0] == 200


def serve_with(upstream, cert, key):
    return Service("serve", "--listen", "127.0.0.1:0", "--upstream", f"http://127.0.0.1:{upstream.port}", "--agent", SIM / "agent.sock", "--cert", cert,
                   "--key", key)


CERT = ["--cert", SIM / "peer.pem", "--key", SIM / "peer-key.pem"]
AGENT = ["--agent", SIM / "agent.sock"]


@pytest.mark.parametrize("arguments, code, words", [
    ([*CERT, *AGENT], 1, "--upstream URL is missing"),
    (["--upstream", "http://127.0.0.1:1", *AGENT], 1, "--cert FILE is missing"),
    (["--upstream", "http://127.0.0.1:1", *CERT], 1, "a server without one proves nothing"),
    (["--upstream", "http://192.0.2.1:1", *CERT, *AGENT], 1, "'192.0.2.1' is another machine"),
    (["--upstream", "http://localhost.evil.example", *CERT, *AGENT], 1, "is another machine"),
    (["--upstream", "https://127.0.0.1:1", *CERT, *AGENT], 1, "is not http://HOST or http://HOST:PORT"),
    (["--upstream", "http://127.0.0.1:1/v1", *CERT, *AGENT], 1, "is not http://HOST or http://HOST:PORT"),
    (["--upstream", "http://127.0.0.1/v1", *CERT, *AGENT], 1, "is not http://HOST or http://HOST:PORT"),
    (["--upstream", "http://", *CERT, *AGENT], 1, "is not http://HOST or http://HOST:PORT"),
    (["--upstream", "http://127.0.0.1:99999", *CERT, *AGENT], 1, "is not http://HOST or http://HOST:PORT"),
    (["--upstream", "http://me@127.0.0.1", *CERT, *AGENT], 1, "is not http://HOST or http://HOST:PORT"),
    (["--upstream", "http://127.0.0.1:1", *CERT, "--agent", "/nonexistent"], 2, "/nonexistent: No such file"),
    (["--upstream", "http://127.0.0.1:1", *CERT, "--agent", SIM / "ports"], 1, "is not a socket"),
    (["--upstream", "http://127.0.0.1:1", "--cert", "/nonexistent", "--key", SIM / "peer-key.pem", *AGENT], 2, "/nonexistent"),
    (["--upstream", "http://127.0.0.1:1", "--cert", SIM / "peer.pem", "--key", SIM / "next-key.pem", *AGENT], 1, "--cert, --key"),
])
def test_what_cannot_be_meant_is_refused_with_its_reason(arguments, code, words):
    done = subprocess.run([TOOL, "serve", "--listen", "127.0.0.1:0", *map(str, arguments)], capture_output=True, text=True, timeout=30)
    assert done.returncode == code and words in done.stderr and "listening" not in done.stdout, done


def test_an_upstream_may_be_named_in_other_ways():
    with Upstream() as upstream:
        for url in (f"http://localhost:{upstream.port}/", f"HTTP://127.0.0.1:{upstream.port}"):
            with Service("serve", "--listen", "127.0.0.1:0", "--upstream", url, *AGENT, *CERT) as it:
                answer, _ = tls_get(it.port, "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 200")
