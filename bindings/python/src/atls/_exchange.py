"""One exchange: the events of a request as they come from a polled queue, and the waits of its caller as generators.

A wait is a generator that yields how many seconds to wait for the next event at most (None: no limit). What runs it waits in its own way:
on the queue's file descriptor, or in an event loop. So both kinds of client have the same rules.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from typing import Any, Callable, Optional

from ._native import Bytes, call, content, ffi, lib, own, raw, text
from ._request import Outgoing
from .errors import Canceled, Closed, Error, InternalError, TimedOut, from_native
from .headers import Headers
from .verdict import Verdict, verdict_of

Wait = Generator[Optional[float], None, None]

EVENTS = 32
#: Seconds of one wait at most: a longer one is several. What waits in the system takes no number of any size.
LONGEST = 3600.0
EVENT_SIZE = ffi.sizeof("atls_event")


class Exchange:
    """A request under way.

    One thread at a time takes events and waits. `cancel` and `close` may come meanwhile, from another thread or from a handler of a signal that
    interrupts any line here, so there is no lock: whoever uses `_handle` reads it once, and so keeps it. `close` drops it before the data, and
    data counts only if the handle was still there after it was taken.
    """

    def __init__(self, client: Any, request: Outgoing, queue: Any, token: int) -> None:
        self._timeout = request.timeout
        self._data: deque[bytes] = deque()
        self._connected = self._writable = self._canceled = self._ended = False
        self._error: Error | None = None
        self.closed = False
        self.status = 0
        self.reason = ""
        self.http_minor = 1
        self.headers = Headers(())
        self.trailers = Headers(())
        self.verdict: Verdict | None = None
        self.url = ""
        sink = ffi.new("atls_sink *", {"queue": queue, "token": token})
        out = ffi.new("atls_exchange **")
        call(lib.atls_client_start, client, request.handle, sink, out)
        self._handle: Any = own(out[0], lib.atls_exchange_free)

    # What comes in.

    def take(self, event: Any) -> None:
        """Takes what an event has. The caller releases it."""
        kind = event.kind
        if kind == lib.ATLS_EVENT_DATA:
            if self._handle is not None:
                self._data.append(content(event.buf))
        elif kind == lib.ATLS_EVENT_CONNECTED:
            self._connected = True
        elif kind == lib.ATLS_EVENT_WRITABLE:
            self._writable = True
        elif kind == lib.ATLS_EVENT_HEAD:
            self._take_head(event.head)
        elif kind == lib.ATLS_EVENT_TRAILERS:
            self.trailers = _fields(event.head)
        elif kind == lib.ATLS_EVENT_CLOSED:
            if event.status != 0:
                error = event.error
                kept = None if error == ffi.NULL else own(lib.atls_error_ref(error), lib.atls_error_free)
                self._error = from_native(event.status, kept)
            self.closed = True

    def _take_head(self, head: Any) -> None:
        self.reason = text(lib.atls_head_reason(head))
        self.http_minor = lib.atls_head_minor_version(head)
        self.headers = _fields(head)
        handle = self._handle
        if handle is not None:
            self.verdict = verdict_of(lib.atls_exchange_verdict(handle))
            self.url = text(lib.atls_exchange_url(handle))
        self.status = lib.atls_head_status(head)

    # What the caller waits for.

    def _until(self, ready: Callable[[], bool], seconds: float | None, late: tuple[str, str, int]) -> Wait:
        """Waits until `ready`. An exchange that is over, by itself or because the time is up, is not waited for."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not ready():
            if self.closed:
                raise self._failure()
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                message, phase, detail = late
                self.close()
                raise TimedOut(f"{message} within {seconds:g} seconds", phase=phase, detail=detail)
            yield remaining

    def _dropped(self) -> bool:
        """Whether somebody canceled or closed it: what comes afterwards has gaps."""
        return self._canceled or self._handle is None

    def _failure(self) -> Error:
        if self._error is not None:
            return self._error
        return Canceled("the request was canceled") if self._canceled else Closed("the response is closed")

    def connect(self) -> Wait:
        """For a streamed body: until there is a connection whose server was judged. The library keeps the deadlines."""
        yield from self._until(lambda: self._connected or self.status != 0, None, ("", "", 0))

    def write(self, piece: memoryview) -> Generator[float | None, None, bool]:
        """Writes a piece of the body; false if the server does not want the rest."""
        given = Bytes(bytes(piece))
        error = ffi.new("atls_error **")
        while True:
            self._writable = False
            status = lib.atls_exchange_write(self._open(), given.value, error)
            failure = own(error[0], lib.atls_error_free)
            error[0] = ffi.NULL
            if status == lib.ATLS_OK:
                return True
            if status == lib.ATLS_CLOSED:
                return False
            if status != lib.ATLS_AGAIN:
                raise from_native(status, failure)
            late = ("the connection took nothing of the request's body", "write", lib.ATLS_DETAIL_IDLE_TIMEOUT)
            yield from self._until(lambda: self._writable or self.status != 0, self._timeout.write, late)

    def finish(self) -> None:
        """Ends a streamed body."""
        call(lib.atls_exchange_finish, self._open())

    def head(self, streamed: bool) -> Wait:
        """Until the response head is there."""
        late = ("no response head came", "transfer", lib.ATLS_DETAIL_FIRST_BYTE_TIMEOUT)
        yield from self._until(lambda: self.status != 0, self._timeout.read if streamed else None, late)
        if self._dropped():
            raise self._failure()
        if self.verdict is None or not self.verdict.trusted:
            # The library does not do that; a caller who relies on it must not be the one to notice.
            self.close()
            raise InternalError("a response without a favourable verdict")

    def read(self) -> Generator[float | None, None, bytes]:
        """The next piece of the body; b"" at its end, which is only reached if all of it came."""
        late = ("no bytes of the response came", "transfer", lib.ATLS_DETAIL_IDLE_TIMEOUT)
        if self._ended:
            return b""
        if self._dropped():
            raise self._failure()
        yield from self._until(lambda: bool(self._data) or self.closed, self._timeout.read, late)
        try:
            piece = self._data.popleft()
        except IndexError:
            piece = b""
        handle = self._handle
        if self._canceled or handle is None:
            raise self._failure()
        if not piece:
            if self._error is not None or not self.closed:
                raise self._failure()
            self._ended = True
        elif not self.closed:
            call(lib.atls_exchange_grant, handle, len(piece))
        return piece

    # How it ends.

    def _open(self) -> Any:
        handle = self._handle
        if handle is None:
            raise self._failure()
        return handle

    def cancel(self) -> None:
        """Ends the exchange at once, unless it is over. From any thread or handler of a signal."""
        handle = self._handle
        if handle is not None and not self.closed:
            self._canceled = True
            call(lib.atls_exchange_cancel, handle)

    def close(self) -> None:
        """Lets go of the exchange; cancels it unless it is over. From any thread or handler of a signal, and in the child of a fork."""
        handle, self._handle = self._handle, None
        self._data.clear()
        if handle is not None and not self.closed:
            self._canceled = True
            # The call fails in the child of a fork alone, which has nothing to cancel.
            lib.atls_exchange_cancel(handle, ffi.NULL)

    def fail(self, error: Error) -> None:
        """Ends the exchange because its events can no longer be relied on."""
        self.close()
        self._error, self.closed = self._error or error, True


def _fields(head: Any) -> Headers:
    count = lib.atls_head_count(head)
    pairs = ((lib.atls_head_name(head, index), lib.atls_head_value(head, index)) for index in range(count))
    return Headers((raw(key).decode("latin-1"), raw(value).decode("latin-1")) for key, value in pairs)
