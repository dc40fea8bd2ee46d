"""The blocking client. Every wait is one of Python's own, on a file descriptor, so that signals and other threads go on meanwhile."""

from __future__ import annotations

import json as json_module
import select
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from ._exchange import LONGEST, Exchange
from ._lines import Lines
from ._live import Live
from ._queue import Queue
from ._request import DEFAULT, Content, Default, HeaderSource, Outgoing, Sending, prepare, slices
from ._response import ResponseHead
from ._settings import Options, Settings, TimeoutSource, make_client
from .errors import Canceled, Closed, Error, Forked
from .verdict import PolicySource

if TYPE_CHECKING:
    from typing_extensions import Unpack


T = TypeVar("T")


class CancelToken:
    """Cancels, from any thread or handler of a signal, the requests that were given it: those under way and those to come."""

    def __init__(self) -> None:
        self._live = Live()

    def cancel(self) -> None:
        """They fail with `Canceled`."""
        self._live.end()

    def _add(self, exchange: Exchange) -> None:
        if not self._live.add(exchange):
            exchange.cancel()


class Response(ResponseHead):
    """A response whose head has come from a server that satisfied the policy. Read the body or close it; `with` does the latter."""

    def __init__(self, client: Any, request: Outgoing) -> None:
        self._queue = Queue()
        self._turn = threading.Lock()  # only ever tried, never waited for
        self._poll = select.poll()
        self._poll.register(self._queue.fd, select.POLLIN)
        super().__init__(Exchange(client, request, self._queue.handle, 0))

    def _run(self, wait: Generator[float | None, None, T]) -> T:
        if not self._turn.acquire(blocking=False):
            raise RuntimeError("another thread waits for the same response")
        try:
            while True:
                try:
                    remaining = next(wait)
                except StopIteration as done:
                    return done.value  # type: ignore[no-any-return]
                if not self._queue.drain(self._exchange.take):
                    self._poll.poll(None if remaining is None else max(1, int(min(remaining, LONGEST) * 1000)))
        except Error:
            raise
        except BaseException:
            # An interrupt may have come between an event and what it means: what follows could not be relied on.
            self._exchange.fail(Canceled("the request was interrupted"))
            raise
        finally:
            self._turn.release()

    def _send(self, request: Outgoing) -> None:
        pieces = request.pieces
        if pieces is not None:
            self._run(self._exchange.connect())
            if self._write(pieces):
                self._exchange.finish()
        self._run(self._exchange.head(pieces is not None))

    def _write(self, pieces: Any) -> bool:
        for piece in pieces:
            for part in slices(piece):
                if not self._run(self._exchange.write(part)):
                    return False
        return True

    def iter_bytes(self) -> Iterator[bytes]:
        """The body as it arrives. Ends without an error only at its end."""
        while piece := self._run(self._exchange.read()):
            yield piece
        self.close()

    def iter_lines(self) -> Iterator[str]:
        """The lines of the body as they arrive, without their ends."""
        lines = Lines()
        for piece in self.iter_bytes():
            yield from lines.feed(piece)
        yield from lines.end()

    def read(self) -> bytes:
        """The rest of the body."""
        return b"".join(self.iter_bytes())

    def text(self) -> str:
        """The rest of the body as UTF-8."""
        return self.read().decode()

    def json(self) -> Any:
        """The rest of the body, parsed as JSON."""
        return json_module.loads(self.read())

    def __enter__(self) -> Response:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Client:
    """Sends requests to servers that satisfy its policies, and to no others. For any number of threads.

    Takes a policy (a `Policy`, a document, or a path) and the keyword arguments that `Settings` lists.
    """

    def __init__(self, policy: PolicySource | None = None, **settings: Unpack[Options]) -> None:
        self._settings = Settings(policy, **settings)
        self._client = make_client(self._settings)
        self._live = Live()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: HeaderSource = None,
        content: Content = None,
        json: Any = None,
        timeout: TimeoutSource | Default = DEFAULT,
        cancel: CancelToken | None = None,
    ) -> Response:
        """Sends a request and waits for the response head; the body is read from the response.

        Raises `AttestationError` if the server does not satisfy the policy: then nothing of the request has left this process.
        """
        return self._request(prepare(self._settings, method, url, headers, content, json, timeout), cancel)

    def _request(self, outgoing: Outgoing, cancel: CancelToken | None = None) -> Response:
        response = self._start(outgoing)
        try:
            if cancel is not None:
                cancel._add(response._exchange)
            response._send(outgoing)
        except BaseException:
            response.close()
            raise
        return response

    def _start(self, outgoing: Outgoing) -> Response:
        client = self._client
        if client is None:
            raise Closed("the client is closed")
        response = Response(client, outgoing)
        if not self._live.add(response._exchange):
            response.close()
            raise Closed("the client is closed")
        return response

    def get(self, url: str, **options: Unpack[Sending]) -> Response:
        """`request` with GET."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Unpack[Sending]) -> Response:
        """`request` with POST."""
        return self.request("POST", url, **options)

    def close(self) -> None:
        """Closes idle connections and cancels what is under way, on any thread. From any thread or handler of a signal."""
        self._client = None
        # In the child of a fork there is nothing to cancel.
        with suppress(Forked):
            self._live.end()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
