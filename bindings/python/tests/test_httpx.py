"""The transports for httpx and httpx2: the same tests for both."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import SIM, Simulator
from hostile import Impostor, Stalling

import atls
from atls import _glue

PROMPT = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(request.param)


def transports(library: Any) -> Any:
    return importlib.import_module(f"atls.{library.__name__}")


@pytest.fixture
def client(library: Any, sim: Simulator) -> Iterator[Any]:
    with library.Client(transport=transports(library).AttestedTransport(**sim.settings())) as made:
        yield made


def test_response(client: Any, sim: Simulator) -> None:
    response = client.get(sim.url("/small"))
    assert (response.status_code, response.content, response.http_version) == (200, b"x" * 100, "HTTP/1.1")
    verdict = response.extensions["atls_verdict"]
    assert verdict.trusted and verdict.bound_to_session
    response = client.get(sim.url("/early"))
    assert response.reason_phrase == "Quite Fine" and response.headers.get_list("x-case") == ["Kept", "twice"]


def test_requests(client: Any, sim: Simulator) -> None:
    head = client.post(sim.url("/head?a=b%20c"), headers={"Host": "other.test", "X-Mine": "1"}, json=[1], auth=("user", "word")).text
    assert head.startswith("POST /head?a=b%20c HTTP/1.1\r\n")
    fields = [line.lower() for line in head.split("\r\n")]
    assert fields.count("host: other.test") == 1 and sum(line.startswith("host:") for line in fields) == 1
    assert "x-mine: 1" in fields and "content-length: 3" in fields and "content-type: application/json" in fields
    assert "authorization: basic dxnlcjp3b3jk" in fields
    assert "content-length: 0" in client.post(sim.url("/head")).text.lower()
    assert "content-length" not in client.get(sim.url("/head")).text.lower()


@pytest.mark.parametrize("size", [1, 64 << 10, 3_000_000])
def test_bodies_come_back(client: Any, sim: Simulator, size: int) -> None:
    body = hashlib.shake_128(b"body").digest(size)
    assert client.post(sim.url("/echo"), content=body).content == body
    assert client.post(sim.url("/echo"), content=iter([body[:1], body[1:]])).content == body
    form = client.post(sim.url("/echo"), files={"file": body})
    assert body in form.content


def test_streaming(client: Any, sim: Simulator) -> None:
    with client.stream("POST", sim.url("/v1/chat/completions"), json=PROMPT) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]" and len(lines) > 10
    with client.stream("GET", sim.url("/bytes/100000000")) as response:
        next(response.iter_raw())
    assert client.get(sim.url("/small")).content


def test_redirects_are_attested_too(client: Any, sim: Simulator) -> None:
    response = client.get(sim.url("/redirect?302,/small"), follow_redirects=True)
    assert response.content == b"x" * 100 and len(response.history) == 1
    assert client.get(sim.url("/redirect?302,/small")).status_code == 302
    evil = sim.url("/small", "EVIL")
    with pytest.raises(atls.BindingMismatch):
        client.get(sim.url(f"/redirect?302,{evil}"), follow_redirects=True)


@pytest.mark.parametrize("lie", ["relays", "has none", "invents"])
def test_an_impostor_sees_no_request(client: Any, library: Any, sim: Simulator, lie: str) -> None:
    with Impostor(SIM, sim.ports["HTTP"], lie) as impostor, pytest.raises(atls.AttestationError) as caught:
        client.post(f"https://localhost:{impostor.port}/secret", content=b"secret", headers={"Authorization": "secret"})
    assert impostor.seen and b"secret" not in impostor.seen
    assert not isinstance(caught.value, library.HTTPError)
    assert caught.value.check == ("report_data" if lie == "relays" else None)


def test_errors_are_those_of_the_library(client: Any, library: Any, sim: Simulator) -> None:
    with pytest.raises(library.ConnectError) as refused:
        client.get("https://localhost:1/")
    assert isinstance(refused.value.__cause__, atls.NetworkError)
    assert refused.value.request.url.port == 1
    with pytest.raises(library.ConnectError):
        client.get("https://no-such-host.invalid/")
    with (
        pytest.raises(library.ConnectError),
        library.Client(transport=transports(library).AttestedTransport(sim.policy, verifier=sim.verifier)) as bare,
    ):
        bare.get(sim.url("/small"))
    for path in ("/cut", "/stale", "/reset"):
        with pytest.raises((library.RemoteProtocolError, library.ReadError)):
            client.get(sim.url(path))
            client.get(sim.url("/reset"))
    with pytest.raises(library.LocalProtocolError, match="Upgrade"):
        client.get(sim.url("/small"), headers={"Upgrade": "websocket"})
    with pytest.raises((library.UnsupportedProtocol, atls.AttestationError)):
        client.get(f"http://localhost:{sim.ports['PCCS']}/")


def test_timeouts_are_those_of_the_library(client: Any, library: Any, sim: Simulator) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(64 << 10)

    with pytest.raises(library.ReadTimeout):
        client.get(sim.url("/hang"), timeout=library.Timeout(30, read=0.2))
    with pytest.raises(library.ReadTimeout):
        client.post(sim.url("/v1/chat/completions?pause=9000"), json=PROMPT, timeout=library.Timeout(30, read=0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(library.ConnectTimeout):
        client.get(f"https://localhost:{silent.getsockname()[1]}/", timeout=library.Timeout(30, connect=0.2))
    with Stalling(sim.ports["HTTP"], 500_000) as relay, pytest.raises(library.WriteTimeout):
        client.post(f"https://localhost:{relay.port}/sink", content=endless(), timeout=library.Timeout(30, write=0.2))
    with library.Client(transport=transports(library).AttestedTransport(**sim.settings(max_requests=1))) as one:
        with one.stream("GET", sim.url("/bytes/100000000")), pytest.raises(library.PoolTimeout):
            one.get(sim.url("/small"), timeout=library.Timeout(30, pool=0.2))


#: What a caller of httpx gets for each status outside the transfer and in it; None is the library's own exception.
NETWORK = ("ConnectError", "ReadError")
MAPPED: dict[str, tuple[str | None, str | None]] = {
    "NULL_ARGUMENT": (None, None),
    "INVALID_ARGUMENT": ("LocalProtocolError", "LocalProtocolError"),
    "INVALID_UTF8": (None, None),
    "INVALID_STATE": ("LocalProtocolError", "LocalProtocolError"),
    "AGAIN": (None, None),
    "CLOSED": (None, None),
    "FORKED": (None, None),
    "WOULD_DEADLOCK": (None, None),
    "UNSUPPORTED": ("UnsupportedProtocol", "UnsupportedProtocol"),
    "BUSY": (None, None),
    "POLICY_INVALID": (None, None),
    "IO": NETWORK,
    "DNS": ("ConnectError", "ConnectError"),
    "TIMED_OUT": ("ReadTimeout", "ReadTimeout"),
    "CANCELED": (None, None),
    "TRUNCATED": ("RemoteProtocolError", "RemoteProtocolError"),
    "NO_RESOURCES": NETWORK,
    "TLS_HANDSHAKE": NETWORK,
    "TLS_CERTIFICATE": NETWORK,
    "TLS_VERSION": NETWORK,
    "HTTP_PROTOCOL": ("RemoteProtocolError", "RemoteProtocolError"),
    "HTTP_HEADER_INVALID": ("LocalProtocolError", "LocalProtocolError"),
    "REDIRECT_REFUSED": (None, None),
    "CONTENT_CODING": ("DecodingError", "DecodingError"),
    "BODY_TOO_LARGE": (None, None),
    "TUNNEL_REFUSED": ("ProxyError", "ProxyError"),
    "WEBSOCKET": ("ProxyError", "ProxyError"),
    "H1_LOCAL": (None, None),
    "H1_REMOTE": (None, None),
    "PANIC": (None, None),
    "INTERNAL": (None, None),
}


def test_every_status_maps(library: Any) -> None:
    seen = set()
    for value in range(1000):
        for place, phase in enumerate(("tls", "transfer")):
            error = atls.errors.class_of(value)("", status=value, phase=phase)
            as_what = _glue.mapped(error)
            if error.status_name == "UNKNOWN" or value == 0:
                assert as_what is None
            elif value // 100 == 4:
                assert as_what is None
                error.retryable = True
                assert _glue.mapped(error) == "ConnectError"
            else:
                seen.add(error.status_name)
                assert as_what == MAPPED[error.status_name][place], error.status_name
            if as_what is not None:
                assert issubclass(getattr(library, as_what), library.TransportError | library.DecodingError)
    assert seen == set(MAPPED)


def test_what_must_not_be_repeated_goes_through(client: Any, library: Any, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched, pytest.raises(atls.InternalError, match="favourable verdict"):
        patched.setattr("atls._exchange.verdict_of", lambda handle: None)
        client.get(sim.url("/small"))
    with client.stream("GET", sim.url("/bytes/100000000")) as response, pytest.raises(atls.Canceled):
        client._transport._client.close()
        for _ in response.iter_raw():
            pass
    with pytest.raises(atls.Closed):
        client.get(sim.url("/small"))


def test_what_is_not_done_is_refused(client: Any, library: Any, sim: Simulator) -> None:
    for which, value in (("target", b"/other"), ("target", b""), ("sni_hostname", "other.test")):
        with pytest.raises(library.UnsupportedProtocol, match=which):
            client.get(sim.url("/head"), extensions={which: value})
    for fields in ({"Connection": "close"}, {"Connection": "keep-alive, X-Mine"}, {"Transfer-Encoding": "gzip, chunked"}, {"Content-Length": "x"}):
        (key,) = fields
        with pytest.raises(library.LocalProtocolError, match=f"{key.lower()}: '"):
            client.request("POST", sim.url("/echo"), headers=fields, content=b"x")
    assert client.get(sim.url("/small"), headers={"Connection": "Keep-Alive"}, extensions={"target": None, "mine": 1}).content == b"x" * 100


def test_both_transports_are_the_same() -> None:
    folder = Path(atls.__file__).parent
    assert (folder / "httpx.py").read_text().replace("httpx", "httpx2") == (folder / "httpx2.py").read_text()


def test_asyncio(library: Any, sim: Simulator) -> None:
    body = hashlib.shake_128(b"body").digest(1_000_000)

    async def pieces() -> AsyncIterator[bytes]:
        yield body[:1000]
        yield body[1000:]

    async def work() -> None:
        transport = transports(library).AsyncAttestedTransport(**sim.settings())
        async with library.AsyncClient(transport=transport) as client:
            response = await client.get(sim.url("/small"))
            assert response.content == b"x" * 100 and response.extensions["atls_verdict"].trusted
            for content in (body, pieces()):
                assert (await client.post(sim.url("/echo"), content=content)).content == body
            async with client.stream("POST", sim.url("/v1/chat/completions"), json=PROMPT) as streamed:
                assert [line async for line in streamed.aiter_lines() if line][-1] == "data: [DONE]"
            with pytest.raises(library.ReadTimeout):
                await client.get(sim.url("/hang"), timeout=library.Timeout(30, read=0.5))
            with pytest.raises(atls.BindingMismatch):
                await client.post(sim.url("/echo", "EVIL"), content=b"secret")
            task = asyncio.ensure_future(client.get(sim.url("/hang"), timeout=None))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(work())
