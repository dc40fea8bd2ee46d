"""The asyncio client. One queue for each event loop, whose descriptor the loop watches: no thread waits for a request."""

from __future__ import annotations

import asyncio
import json as json_module
import weakref
from collections.abc import AsyncIterator, Coroutine, Generator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from ._exchange import LONGEST, Exchange
from ._lines import Lines
from ._native import lib
from ._queue import Queue
from ._request import DEFAULT, AsyncContent, AsyncSending, Default, HeaderSource, Outgoing, prepare, slices
from ._response import ResponseHead
from ._settings import Options, Settings, TimeoutSource, make_client
from .errors import Closed, Error, InternalError
from .verdict import PolicySource

if TYPE_CHECKING:
    from typing_extensions import Unpack


T = TypeVar("T")


class _Slot:
    """An exchange, as long as somebody else has it, and the task that waits for it."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = weakref.ref(exchange)
        self.waiter: asyncio.Future[None] | None = None
        #: Done when the response head has come or the exchange is over, if somebody watches for that.
        self.answered: asyncio.Future[None] | None = None
        self.busy = False

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)
        exchange = self.exchange()
        if self.answered is not None and not self.answered.done() and (exchange is None or exchange.closed or exchange.status != 0):
            self.answered.set_result(None)


class Hub:
    """The exchanges of one event loop. Everything runs on the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.slots: dict[int, _Slot] = {}
        self._queue = Queue()
        self._tokens = 0

    def start(self, client: Any, request: Outgoing) -> tuple[Exchange, _Slot]:
        """Starts a request. Its slot stays until the last event; an exchange that nobody has any more cancels itself."""
        self._tokens += 1
        exchange = Exchange(client, request, self._queue.handle, self._tokens)
        if not self.slots:
            self.loop.add_reader(self._queue.fd, self._drain)
        slot = self.slots[self._tokens] = _Slot(exchange)
        return exchange, slot

    def _drain(self) -> None:
        self._queue.drain(self._receive)
        if not self.slots:
            self.loop.remove_reader(self._queue.fd)

    def _receive(self, event: Any) -> None:
        slot = self.slots.get(event.token)
        if slot is None:
            return
        if event.kind == lib.ATLS_EVENT_CLOSED:
            del self.slots[event.token]
        exchange = slot.exchange()
        if exchange is None:
            return
        try:
            exchange.take(event)
        except Exception as error:  # of one exchange; the others go on
            exchange.fail(error if isinstance(error, Error) else InternalError(repr(error)))
        slot.wake()

    async def run(self, slot: _Slot, wait: Generator[float | None, None, T]) -> T:
        """Waits as the generator says. Canceling the task loses nothing: the wait can be made again."""
        if slot.busy:
            raise RuntimeError("another task waits for the same response")
        slot.busy = True
        try:
            while True:
                try:
                    remaining = next(wait)
                except StopIteration as done:
                    return done.value  # type: ignore[no-any-return]
                await self._next(slot, remaining)
        finally:
            slot.busy = False

    async def _next(self, slot: _Slot, seconds: float | None) -> None:
        """Until the next event of an exchange, but so long at most."""
        slot.waiter = self.loop.create_future()
        timer = None if seconds is None else self.loop.call_later(min(seconds, LONGEST), slot.wake)
        try:
            await slot.waiter
        finally:
            slot.waiter = None
            if timer is not None:
                timer.cancel()

    async def until_answered(self, slot: _Slot, work: Coroutine[Any, Any, bool]) -> bool:
        """What `work` returns; false if the response head comes or the exchange ends before it does: then it is canceled.

        All of it runs in one task, because a source of pieces may not be moved from one to another.
        """
        slot.answered = answered = self.loop.create_future()
        slot.wake()
        task = self.loop.create_task(work)
        try:
            await asyncio.wait({task, answered}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            slot.answered = None
            task.cancel()
            await asyncio.wait({task})
        return not task.cancelled() and task.result()

    def close(self) -> None:
        """Cancels what is under way."""
        if self.slots and not self.loop.is_closed():
            self.loop.remove_reader(self._queue.fd)
        slots, self.slots = list(self.slots.values()), {}
        for slot in slots:
            exchange = slot.exchange()
            if exchange is not None:
                exchange.fail(Closed("the client is closed"))
            if not self.loop.is_closed():
                slot.wake()


async def _async(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _source(pieces: Any) -> Any:
    return pieces.__aiter__() if hasattr(pieces, "__aiter__") else _async(pieces)


class AsyncResponse(ResponseHead):
    """As `Response`, for asyncio."""

    def __init__(self, hub: Hub, client: Any, request: Outgoing) -> None:
        self._hub = hub
        exchange, self._slot = hub.start(client, request)
        super().__init__(exchange)

    async def _send(self, request: Outgoing) -> None:
        pieces = request.pieces
        if pieces is not None:
            await self._hub.run(self._slot, self._exchange.connect())
            if await self._hub.until_answered(self._slot, self._write(pieces)):
                self._exchange.finish()
        await self._hub.run(self._slot, self._exchange.head(pieces is not None))

    async def _write(self, pieces: Any) -> bool:
        source = _source(pieces)
        try:
            async for piece in source:
                if not await self._write_piece(piece):
                    return False
            return True
        finally:
            if hasattr(source, "aclose"):
                await source.aclose()

    async def _write_piece(self, piece: Any) -> bool:
        for part in slices(piece):
            if not await self._hub.run(self._slot, self._exchange.write(part)):
                return False
        return True

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Ends without an error only at its end."""
        while piece := await self._hub.run(self._slot, self._exchange.read()):
            yield piece
        self.close()

    async def iter_lines(self) -> AsyncIterator[str]:
        """The lines of the body as they arrive, without their ends."""
        lines = Lines()
        async for piece in self.iter_bytes():
            for line in lines.feed(piece):
                yield line
        for line in lines.end():
            yield line

    async def read(self) -> bytes:
        """The rest of the body."""
        return b"".join([piece async for piece in self.iter_bytes()])

    async def text(self) -> str:
        """The rest of the body as UTF-8."""
        return (await self.read()).decode()

    async def json(self) -> Any:
        """The rest of the body, parsed as JSON."""
        return json_module.loads(await self.read())

    async def __aenter__(self) -> AsyncResponse:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class AsyncClient:
    """As `Client`, for asyncio: used by the tasks of one event loop at a time."""

    def __init__(self, policy: PolicySource | None = None, **settings: Unpack[Options]) -> None:
        self._settings = Settings(policy, **settings)
        self._client = make_client(self._settings)
        self._closed = False
        self._hub: Hub | None = None

    def _hub_here(self) -> Hub:
        if self._closed:
            raise Closed("the client is closed")
        loop = asyncio.get_running_loop()
        if self._hub is None or self._hub.loop is not loop:
            if self._hub is not None:
                if self._hub.slots and not self._hub.loop.is_closed():
                    raise RuntimeError("the client has requests under way in another event loop")
                self._hub.close()
            self._hub = Hub(loop)
        return self._hub

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: HeaderSource = None,
        content: AsyncContent = None,
        json: Any = None,
        timeout: TimeoutSource | Default = DEFAULT,
    ) -> AsyncResponse:
        """As `Client.request`. To cancel it, cancel the task. `content` may also be an asynchronous iterator."""
        return await self._request(prepare(self._settings, method, url, headers, content, json, timeout))

    async def _request(self, outgoing: Outgoing) -> AsyncResponse:
        response = AsyncResponse(self._hub_here(), self._client, outgoing)
        try:
            await response._send(outgoing)
        except BaseException:
            response.close()
            raise
        return response

    async def get(self, url: str, **options: Unpack[AsyncSending]) -> AsyncResponse:
        """`request` with GET."""
        return await self.request("GET", url, **options)

    async def post(self, url: str, **options: Unpack[AsyncSending]) -> AsyncResponse:
        """`request` with POST."""
        return await self.request("POST", url, **options)

    def close(self) -> None:
        """Closes idle connections and cancels what is under way."""
        self._closed = True
        if self._hub is not None:
            self._hub.close()
        self._client = None

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
