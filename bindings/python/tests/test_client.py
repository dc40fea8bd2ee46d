"""The blocking client."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import SIM, Simulator
from hostile import Impostor, Stalling

import atls
from atls import _settings


def test_response(client: atls.Client, sim: Simulator) -> None:
    with client.get(sim.url("/small")) as response:
        assert response.status == 200
        assert response.read() == b"x" * 100
        assert response.url == sim.url("/small")
        verdict = response.verdict
    assert verdict and verdict.trusted and verdict.bound_to_session
    assert verdict.tee_type == "tdx"
    assert verdict.trust_anchor == "simulated"
    assert all(check.outcome != "fail" for check in verdict.checks)
    assert verdict.failed is None


def test_header_fields(client: atls.Client, sim: Simulator) -> None:
    with client.get(sim.url("/head"), headers={"X-Mine": "1", "x-other": "ä"}) as response:
        head = response.read()
    assert b"X-Mine: 1\r\n" in head
    assert "x-other: ä\r\n".encode("latin-1") in head
    with client.get(sim.url("/early")) as response:
        assert response.reason == "Quite Fine"
        assert response.headers["X-CASE"] == "Kept, twice"
        assert response.headers.get_list("x-case") == ["Kept", "twice"]
        assert ("x-case", "twice") in response.headers.fields
        assert response.read() == b"body"
        assert response.trailers["X-Trailer"] == "end"


@pytest.mark.parametrize("size", [0, 1, 64 << 10, (64 << 10) + 1, 3_000_000])
def test_bodies_come_back(client: atls.Client, sim: Simulator, size: int) -> None:
    body = hashlib.shake_128(b"body").digest(size)
    pieces = iter([body[: size // 3], b"", body[size // 3 :]])
    with tempfile.TemporaryFile() as file:
        file.write(b"not sent" + body)
        file.seek(8)
        for content in (body, pieces, io.BytesIO(body), file):
            with client.post(sim.url("/echo"), content=content) as response:
                assert response.read() == body


def test_length_of_files_is_announced(client: atls.Client, sim: Simulator) -> None:
    with client.post(sim.url("/head"), content=io.BytesIO(b"x" * 100_000)) as response:
        assert b"ontent-Length: 100000\r\n".lower() in response.read().lower()
    with client.post(sim.url("/head"), content=iter([b"piece"])) as response:
        assert b"transfer-encoding: chunked\r\n" in response.read().lower()


def test_json(client: atls.Client, sim: Simulator) -> None:
    with client.post(sim.url("/echo"), json={"a": [1, None]}) as response:
        assert response.json() == {"a": [1, None]}
    with pytest.raises(ValueError, match="exclude"):
        client.post(sim.url("/echo"), json={}, content=b"")


def test_lines_arrive_one_by_one(client: atls.Client, sim: Simulator) -> None:
    prompt = {"messages": [{"role": "user", "content": "hello"}]}
    came: list[float] = []
    with client.post(sim.url("/v1/chat/completions?pause=100"), json=prompt) as response:
        for line in response.iter_lines():
            came.append(time.monotonic())
            if line == "data: [DONE]":
                break
    assert len(came) > 10
    assert came[-1] - came[0] > 0.5


def test_a_refused_server_is_asked_for_no_body(sim: Simulator) -> None:
    def pieces() -> Iterator[bytes]:
        raise AssertionError("the body was asked for")
        yield b""

    with atls.Client(**sim.settings(policy=sim.wrong_policy)) as client, pytest.raises(atls.MeasurementMismatch) as caught:
        client.post(sim.url("/echo"), content=pieces())
    assert caught.value.check is not None and caught.value.check in str(caught.value)
    verdict = caught.value.verdict
    assert verdict is not None and not verdict and verdict.status == caught.value.status == 405
    with atls.Client(**sim.settings()) as client, pytest.raises(atls.BindingMismatch):
        client.post(sim.url("/echo", "EVIL"), content=b"a secret")


@pytest.mark.parametrize(("lie", "kind"), [("relays", atls.BindingMismatch), ("has none", atls.NoEvidence), ("invents", atls.EvidenceInvalid)])
@pytest.mark.parametrize("content", [b"a secret", b"a secret" * 100_000, None])
def test_an_impostor_sees_no_request(sim: Simulator, lie: str, kind: type[atls.AttestationError], content: bytes | None) -> None:
    with Impostor(SIM, sim.ports["HTTP"], lie) as impostor, atls.Client(**sim.settings()) as client, pytest.raises(kind) as caught:
        client.post(f"https://localhost:{impostor.port}/private", headers={"Authorization": "a secret"}, content=content)
    assert impostor.seen.startswith(b"POST /tdx_quote HTTP/1.1\r\n")
    assert b"secret" not in impostor.seen and b"private" not in impostor.seen
    assert not caught.value.retryable
    if lie == "relays":
        assert caught.value.check == "report_data"


def test_a_host_without_a_policy_is_refused(sim: Simulator) -> None:
    with atls.Client(**sim.settings(policy=None)) as client, pytest.raises(atls.PolicyRequired):
        client.get(sim.url("/small"))
    with atls.Client(**sim.settings(policy=None, policies={"localhost": sim.policy})) as client:
        assert client.get(sim.url("/small")).read() == b"x" * 100
        with pytest.raises(atls.PolicyRequired):
            client.get(f"https://127.0.0.1:{sim.ports['HTTP']}/small")


def test_no_request_without_tls(client: atls.Client, sim: Simulator) -> None:
    with pytest.raises(atls.Error) as caught:
        client.get(f"http://localhost:{sim.ports['PCCS']}/")
    assert isinstance(caught.value, (atls.AttestationError, atls.UsageError))


def test_redirects(client: atls.Client, sim: Simulator) -> None:
    with client.get(sim.url("/redirect?302,/small")) as response:
        assert response.read() == b"x" * 100
        assert response.url == sim.url("/small")
    with pytest.raises(atls.RedirectRefused):
        client.get(sim.url("/redirect?302,https://elsewhere.test/"))


def test_errors_have_their_class(client: atls.Client, sim: Simulator) -> None:
    with pytest.raises(atls.NetworkError) as refused:
        client.get("https://localhost:1/")
    assert refused.value.os_errno == 111 and refused.value.phase == "connect"
    with pytest.raises(atls.Truncated):
        client.get(sim.url("/cut")).read()
    with pytest.raises(atls.TLSCertificateError):
        atls.Client(sim.policy, verifier=sim.verifier).get(sim.url("/small"))
    with pytest.raises(atls.InvalidArgument):
        client.get("https://")
    with pytest.raises(atls.Unsupported):
        client.get("ftp://localhost/")
    with pytest.raises(atls.HTTPHeaderInvalid):
        client.get(sim.url("/"), headers={"X": "a\nb"})
    with pytest.raises(ValueError, match="url contains a NUL"):
        client.get(sim.url("/\0"))


def test_bad_content_is_named(client: atls.Client, sim: Simulator) -> None:
    with pytest.raises(TypeError, match="content must be bytes"):
        client.post(sim.url("/echo"), content=7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="consists of bytes, not str"):
        client.post(sim.url("/echo"), content=iter(["text"]))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="binary mode"):
        client.post(sim.url("/echo"), content=io.StringIO("text"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="X-Mine: '\u20ac' has characters"):
        client.get(sim.url("/small"), headers={"X-Mine": "\u20ac"})
    with pytest.raises(ValueError, match="timeout read must be a positive number"):
        client.get(sim.url("/small"), timeout=atls.Timeout(read=-1))
    with pytest.raises(TypeError):
        atls.Client(sim.policy, polcy=1)  # type: ignore[call-arg]


def test_a_body_that_fails_ends_the_request(client: atls.Client, sim: Simulator) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        client.post(sim.url("/echo"), content=pieces())
    assert client.get(sim.url("/small")).read()


def test_timeouts(client: atls.Client, sim: Simulator) -> None:
    for content in (None, iter([b"x"])):
        begun = time.monotonic()
        with pytest.raises(atls.TimedOut):
            client.post(sim.url("/hang"), content=content, timeout=atls.Timeout(read=0.2))
        assert 0.15 < time.monotonic() - begun < 10
    with client.post(sim.url("/v1/chat/completions?pause=3000"), json={}, timeout=atls.Timeout(read=0.3)) as response:
        with pytest.raises(atls.TimedOut, match=r"no bytes of the response came within 0.3 seconds"):
            response.read()
        with pytest.raises(atls.Error):
            response.read()
    with pytest.raises(atls.TimedOut):
        client.post(sim.url("/v1/chat/completions?pause=100"), json={}, timeout=atls.Timeout(total=0.5)).read()


def test_write_timeout(client: atls.Client, sim: Simulator) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(64 << 10)

    with Stalling(sim.ports["HTTP"], 500_000) as relay, pytest.raises(atls.TimedOut, match="took nothing") as caught:
        client.post(f"https://localhost:{relay.port}/sink", content=endless(), timeout=atls.Timeout(write=0.5, total=20))
    assert caught.value.phase == "write"


def test_a_response_before_the_body_is_sent(client: atls.Client, sim: Simulator) -> None:
    sent = 0

    def many() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(10_000):
            sent += 1
            time.sleep(0.001)
            yield bytes(64 << 10)

    with client.post(sim.url("/hasty?close"), content=many()) as response:
        assert response.status == 413
        assert response.read() == b"hasty"
    assert sent < 10_000


def test_cancel_on_another_thread(client: atls.Client, sim: Simulator) -> None:
    token = atls.CancelToken()
    threading.Timer(0.2, token.cancel).start()
    with pytest.raises(atls.Canceled):
        client.get(sim.url("/hang"), cancel=token)
    with pytest.raises(atls.Canceled):
        client.get(sim.url("/small"), cancel=token)
    with client.post(sim.url("/v1/chat/completions?pause=5000"), json={}) as response:
        threading.Timer(0.2, response.cancel).start()
        with pytest.raises(atls.Canceled):
            response.read()
    assert client.get(sim.url("/small")).read()


def test_close_cancels(sim: Simulator) -> None:
    client = atls.Client(**sim.settings())
    threading.Timer(0.2, client.close).start()
    with pytest.raises(atls.Canceled):
        client.get(sim.url("/hang"))
    with pytest.raises(atls.Closed):
        client.get(sim.url("/small"))


def test_a_closed_response_never_looks_complete(client: atls.Client, sim: Simulator) -> None:
    for path in ("/small", "/bytes/100000000"):
        response = client.get(sim.url(path))
        time.sleep(0.1)
        response.close()
        with pytest.raises(atls.Error):
            response.read()
    with client.get(sim.url("/small")) as response:
        assert response.read() and response.read() == b""
    assert response.read() == b""


def test_many_threads(client: atls.Client, sim: Simulator) -> None:
    wrong: list[object] = []

    def work(seed: int) -> None:
        body = hashlib.shake_128(bytes([seed])).digest(200_000)
        try:
            for _ in range(5):
                if client.post(sim.url("/echo"), content=body).read() != body:
                    wrong.append(seed)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_other_threads_run_meanwhile(client: atls.Client, sim: Simulator) -> None:
    turns = 0

    def spin() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            time.sleep(0.001)

    done = threading.Event()
    thread = threading.Thread(target=spin)
    thread.start()
    with pytest.raises(atls.TimedOut):
        client.get(sim.url("/hang"), timeout=atls.Timeout(read=0.5))
    done.set()
    thread.join()
    assert turns > 5


def test_back_pressure(client: atls.Client, sim: Simulator) -> None:
    size = 50_000_000
    with client.get(sim.url(f"/bytes/{size}")) as response:
        time.sleep(0.5)
        # What nobody has taken is held by the server, but for the credit.
        response._queue.drain(response._exchange.take)
        assert sum(map(len, response._exchange._data)) <= 320 << 10
        assert sum(map(len, response.iter_bytes())) == size


def test_connections_are_kept(client: atls.Client, sim: Simulator) -> None:
    from atls._native import lib

    for _ in range(5):
        assert client.get(sim.url("/echo")).read() == b""
    assert lib.atls_client_idle_connections(client._client) == 1


def test_settings(sim: Simulator) -> None:
    elsewhere = {("tee.test", 443): ("localhost", sim.ports["HTTP"])}
    with atls.Client(
        **sim.settings(connect_to=elsewhere, cookies=True, platform_roots=True, max_connection_age=60, max_connections_per_host=2)
    ) as client:
        assert client.get("https://tee.test/small").read() == b"x" * 100
    with pytest.raises(ValueError, match="above 0"):
        atls.Client(**sim.settings(max_connections_per_host=0))
    with pytest.raises(atls.UsageError):
        atls.Client(**sim.settings(max_requests=0))


def test_options_are_the_settings() -> None:
    """The types of the keyword arguments are listed twice: once for type checkers."""
    settings = {field.name: field.type for field in dataclasses.fields(_settings.Settings) if field.name != "policy"}
    options = {key: value.__forward_arg__ for key, value in _settings.Options.__annotations__.items()}
    assert options == settings


def test_a_response_without_a_verdict_is_none(client: atls.Client, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atls._exchange.verdict_of", lambda handle: None)
    with pytest.raises(atls.InternalError, match="favourable verdict"):
        client.get(sim.url("/small"))


def test_routes(sim: Simulator) -> None:
    peers = dict(line.split("=") for line in Path(os.environ["ATLS_PEERS"]).read_text().split())
    routes: list[dict[str, Any]] = [
        {"tunnel": f"ws://127.0.0.1:{sim.ports['TUNNEL']}/"},
        {"proxy": atls.Proxy(f"http://127.0.0.1:{peers['PROXY']}", "user", "password")},
        {"proxy": atls.Proxy(f"socks5h://127.0.0.1:{peers['SOCKS']}", "user", "password")},
    ]
    for route in routes:
        with atls.Client(**sim.settings(**route)) as client:
            response = client.get(sim.url("/small"))
            assert response.read() == b"x" * 100 and response.verdict.trusted
    with atls.Client(**sim.settings(proxy=f"http://127.0.0.1:{peers['PROXY']}")) as client, pytest.raises(atls.TunnelRefused) as refused:
        client.get(sim.url("/small"))
    assert refused.value.http_status == 407
    with pytest.raises(atls.InvalidArgument):
        atls.Client(**sim.settings(tunnel="nonsense"))
    with pytest.raises(atls.Unsupported):
        atls.Client(**sim.settings(proxy="ftp://127.0.0.1"))
