"""One request as the library takes it, and how its body is supplied. For both kinds of client."""

from __future__ import annotations

import enum
import json as json_module
import os
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypedDict, Union

from ._native import FOREVER, UNKNOWN_LENGTH, Bytes, call, create, lib, name
from ._settings import Settings, Timeout, TimeoutSource, milliseconds, timeout_of

if TYPE_CHECKING:
    from .client import CancelToken

HeaderSource = Union[Mapping[str, str], Sequence[tuple[str, Union[str, bytes]]], None]
#: Bytes, a binary file, or an iterator of bytes.
Content = Union[bytes, bytearray, memoryview, str, IO[bytes], Iterable[bytes], None]
AsyncContent = Union[Content, AsyncIterable[bytes]]


class Default(enum.Enum):
    """What stands for the client's own timeout, where None is no limit."""

    DEFAULT = 0


DEFAULT = Default.DEFAULT

#: A body up to this size is handed over whole; the library can then send it again after a redirect.
SMALL = 64 << 10
#: A streamed body is written in pieces of at most this size.
PIECE = 64 << 10


class AsyncSending(TypedDict, total=False):
    """The keyword arguments of `AsyncClient.request`."""

    headers: HeaderSource
    content: AsyncContent
    json: Any
    timeout: TimeoutSource | Default


class Sending(TypedDict, total=False):
    """Those of `Client.request`."""

    headers: HeaderSource
    content: Content
    json: Any
    timeout: TimeoutSource | Default
    cancel: CancelToken | None


class Stream(NamedTuple):
    """Pieces of a body, and the length of all of them if that is known."""

    pieces: Any
    length: int | None


class Outgoing:
    """A request, and the rest of its body if that is streamed."""

    def __init__(self, method: str, url: str, headers: HeaderSource, content: Any, timeout: Timeout) -> None:
        arguments = name(method, "method"), name(url, "url")
        self.handle = create("atls_request", lib.atls_request_free, lib.atls_request_new_url, *arguments)
        self.timeout = timeout
        self.pieces: Any | None = None
        for key, value in headers.items() if isinstance(headers, Mapping) else headers or ():
            given = Bytes(_value(key, value))
            call(lib.atls_request_add_header, self.handle, name(key, "header name"), given.value)
        self._set_content(content)
        self._set_deadlines(timeout)

    def _set_content(self, content: Any) -> None:
        if content is None:
            return
        if isinstance(content, str):
            content = content.encode()
        if isinstance(content, Stream):
            self.stream(*content)
        elif isinstance(content, (bytes, bytearray, memoryview)):
            data = bytes(content)
            if len(data) <= SMALL:
                given = Bytes(data)
                call(lib.atls_request_set_body, self.handle, given.value)
            else:
                self.stream(iter((data,)), len(data))
        elif hasattr(content, "read"):
            self.stream(_pieces(content), _rest(content))
        elif hasattr(content, "__aiter__") or hasattr(content, "__iter__"):
            self.stream(content, None)
        else:
            raise TypeError(f"content must be bytes, a file or an iterator of bytes, not {type(content).__name__}")

    def stream(self, pieces: Any, length: int | None) -> None:
        """Takes the body from `pieces`."""
        if length == 0:
            return self._set_content(b"")
        call(lib.atls_request_set_body_stream, self.handle, UNKNOWN_LENGTH if length is None else length)
        self.pieces = pieces

    def _set_deadlines(self, timeout: Timeout) -> None:
        deadlines = {
            lib.ATLS_REQUEST_DEADLINE_HEAD: FOREVER,
            lib.ATLS_REQUEST_DEADLINE_QUEUE: milliseconds(timeout.pool),
            lib.ATLS_REQUEST_DEADLINE_CONNECT: milliseconds(timeout.connect),
            lib.ATLS_REQUEST_DEADLINE_TOTAL: milliseconds(timeout.total),
            # Of a streamed body the sending is not part of that wait: the exchange measures it.
            lib.ATLS_REQUEST_DEADLINE_FIRST_BYTE: milliseconds(None if self.pieces is not None else timeout.read),
        }
        for which, value in deadlines.items():
            call(lib.atls_request_set_deadline, self.handle, which, value)


def _value(key: str, value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"header field {key}: {value!r} has characters that are not Latin-1") from None


def prepare(
    settings: Settings,
    method: str,
    url: str,
    headers: HeaderSource,
    content: Any,
    json: Any,
    timeout: TimeoutSource | Default,
) -> Outgoing:
    """A request of a client's user."""
    if json is not None:
        if content is not None:
            raise ValueError("content and json exclude each other")
        content = json_module.dumps(json).encode()
        fields = list(headers.items() if isinstance(headers, Mapping) else headers or ())
        if not any(key.lower() == "content-type" for key, _ in fields):
            fields.append(("Content-Type", "application/json"))
        headers = fields
    waits = timeout_of(settings.timeout if isinstance(timeout, Default) else timeout)
    outgoing = Outgoing(method, url, headers, content, waits)
    call(lib.atls_request_set_redirects, outgoing.handle, settings.redirects, 0)
    call(lib.atls_request_set_decode, outgoing.handle, settings.decode)
    return outgoing


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        if not isinstance(piece, bytes):
            raise TypeError(f"the file must be opened in binary mode: read() returned {type(piece).__name__}")
        yield piece


def _rest(file: IO[bytes]) -> int | None:
    """How much there is from the file's position on, if it says so."""
    try:
        here = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(here)
    except (OSError, AttributeError, ValueError):
        return None
    # Of a file that is opened as text, positions say nothing.
    return max(0, end - here) if isinstance(end, int) and not hasattr(file, "encoding") else None


def slices(piece: Any) -> Iterator[memoryview]:
    """The piece in parts that the library can queue."""
    if not isinstance(piece, (bytes, bytearray, memoryview)):
        raise TypeError(f"a body consists of bytes, not {type(piece).__name__}")
    view = memoryview(piece).cast("B")
    for at in range(0, len(view), PIECE):
        yield view[at : at + PIECE]
