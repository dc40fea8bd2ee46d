"""What the transports for httpx and httpx2 share: the two libraries have the same classes by the same names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from ._exchange import Exchange
from ._native import call, lib, name
from ._request import SMALL, Outgoing, Stream
from ._settings import Timeout, timeout_of
from .errors import AttestationError, Error, InvalidArgument, TimedOut, Unsupported

_TIMEOUTS = {
    "ATLS_DETAIL_QUEUE_TIMEOUT": "PoolTimeout",
    "ATLS_DETAIL_CONNECT_TIMEOUT": "ConnectTimeout",
    "ATLS_DETAIL_TLS_TIMEOUT": "ConnectTimeout",
    "ATLS_DETAIL_EVIDENCE_TIMEOUT": "ConnectTimeout",
}
_NETWORK = "ConnectError or ReadError"
#: httpx's exception for each status. One that is not here goes through as it is, as does a status that this package does not know: clients
#: repeat what looks like a failure of the network, so a refusal, a defect or what the program did itself must not look like one.
_BY_STATUS = {
    "ATLS_INVALID_ARGUMENT": "LocalProtocolError",
    "ATLS_INVALID_STATE": "LocalProtocolError",
    "ATLS_UNSUPPORTED": "UnsupportedProtocol",
    "ATLS_IO": _NETWORK,
    "ATLS_DNS": "ConnectError",
    "ATLS_TRUNCATED": "RemoteProtocolError",
    "ATLS_NO_RESOURCES": _NETWORK,
    "ATLS_TLS_HANDSHAKE": _NETWORK,
    "ATLS_TLS_CERTIFICATE": _NETWORK,
    "ATLS_TLS_VERSION": _NETWORK,
    "ATLS_HTTP_PROTOCOL": "RemoteProtocolError",
    "ATLS_HTTP_HEADER_INVALID": "LocalProtocolError",
    "ATLS_CONTENT_CODING": "DecodingError",
    "ATLS_TUNNEL_REFUSED": "ProxyError",
    "ATLS_WEBSOCKET": "ProxyError",
}
#: Header fields that the library writes itself, or that are about the connection.
_OWN = {"host", "transfer-encoding", "content-length", "connection"}


def mapped(error: Error) -> str | None:
    """The name of httpx's exception for an error; None if it goes to the caller as it is.

    A refused server is no failure of the network: clients repeat those. So it goes through, unless the library says that the same call may
    succeed later, as when no source of collateral answered.
    """
    if isinstance(error, AttestationError):
        return "ConnectError" if error.retryable else None
    if isinstance(error, TimedOut):
        by_detail = {getattr(lib, detail): kind for detail, kind in _TIMEOUTS.items()}
        return "WriteTimeout" if error.phase == "write" else by_detail.get(error.detail, "ReadTimeout")
    by_status = {getattr(lib, status): kind for status, kind in _BY_STATUS.items()}
    kind = by_status.get(error.status)
    if kind == _NETWORK:
        return "ReadError" if error.phase == "transfer" else "ConnectError"
    return kind


class Raised:
    """Turns the library's errors into those of httpx: `with Raised(httpx, request): ..`. The original is their cause."""

    def __init__(self, library: Any, request: Any) -> None:
        self._library, self._request = library, request

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Error):
            self._raise(error)

    def _raise(self, error: Error) -> NoReturn:
        as_what = mapped(error)
        if as_what is None:
            raise error
        raise getattr(self._library, as_what)(str(error), request=self._request) from error


def outgoing(request: Any) -> Outgoing:
    """A request of httpx as the library takes it. Redirects and content codings are httpx's own matter."""
    _refuse(request)
    url = request.url
    host = f"[{url.host}]" if ":" in url.host else url.raw_host.decode("ascii")
    port = "" if url.port is None else f":{url.port}"
    fields = [(key.decode("ascii"), value) for key, value in request.headers.raw if key.lower().decode() not in _OWN]
    timeout = timeout_of(_timeout(request.extensions.get("timeout", {})))
    target = f"{url.scheme}://{host}{port}{url.raw_path.decode('ascii')}"
    made = Outgoing(request.method, target, fields, _body(request), timeout)
    if request.headers.get("host", f"{host}{port}").lower() != f"{host}{port}".lower():
        call(lib.atls_request_set_host, made.handle, name(request.headers["host"], "Host"))
    call(lib.atls_request_set_redirects, made.handle, 0, 0)
    return made


def _refuse(request: Any) -> None:
    """What a request asks for and this transport does not do."""
    for which in ("target", "sni_hostname"):
        if request.extensions.get(which) is not None:
            raise Unsupported(f"the request's extension {which!r} is not supported")
    for key, allowed in (("connection", "keep-alive"), ("transfer-encoding", "chunked")):
        value = request.headers.get(key, allowed)
        if value.strip().lower() != allowed:
            raise InvalidArgument(f"header field {key}: {value!r} is not supported; the library writes that field itself")
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise InvalidArgument(f"header field content-length: {length!r} is not a number")


def _timeout(given: Mapping[str, float | None]) -> Timeout:
    def seconds(which: str) -> float | None:
        value = given.get(which)
        return None if value is None else max(0.001, value)  # httpx allows 0

    return Timeout(seconds("connect"), seconds("read"), seconds("write"), seconds("pool"))


def _body(request: Any) -> Any:
    """Bytes if httpx has few of them, else its stream."""
    length = request.headers.get("content-length")
    known = None if length is None else int(length)
    if known is None and "transfer-encoding" not in request.headers:
        return None
    if known is not None and known <= SMALL and hasattr(request, "_content"):
        return request.content
    return Stream(request.stream, known)


def extensions(exchange: Exchange) -> dict[str, Any]:
    """Those of httpx's response."""
    return {
        "http_version": b"HTTP/1.0" if exchange.http_minor == 0 else b"HTTP/1.1",
        "reason_phrase": exchange.reason.encode("latin-1", "replace"),
        "atls_verdict": exchange.verdict,
    }
