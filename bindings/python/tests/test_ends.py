"""How a response ends that somebody else closes or cancels: another thread, another task, or a handler of a signal. Never as if it were complete."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from types import FrameType
from typing import Any, Callable

import pytest
from conftest import Simulator

import atls
from atls import _exchange, _native

PROMPT = {"messages": [{"role": "user", "content": "hello"}]}
SLOW = "/v1/chat/completions?pause=20"


def elsewhere(work: Callable[[], None]) -> None:
    """On another thread, now."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_closed_by_a_task_before_the_reader_runs(sim: Simulator) -> None:
    async def work() -> None:
        async with atls.AsyncClient(**sim.settings()) as client:
            response = await client.post(sim.url(SLOW), json=PROMPT)
            reader = asyncio.ensure_future(response.read())
            await asyncio.sleep(0)
            # The rest of the body and its end are to come at once.
            time.sleep(1.5)  # noqa: ASYNC251
            while not response._exchange.closed:  # noqa: ASYNC110
                await asyncio.sleep(0)
            assert response._exchange._data and not reader.done()
            response.close()
            with pytest.raises(atls.Closed):
                await reader

    asyncio.run(work())


def test_closed_by_a_thread_before_the_reader_takes_data(client: atls.Client, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    until = _exchange.Exchange._until
    response = client.post(sim.url(SLOW), json=PROMPT)
    while not response._exchange.closed:
        response._queue.drain(response._exchange.take)
        time.sleep(0.01)

    def closes(self: Any, *arguments: Any) -> Generator[Any, None, None]:
        yield from until(self, *arguments)
        elsewhere(response.close)

    monkeypatch.setattr(_exchange.Exchange, "_until", closes)
    with pytest.raises(atls.Closed):
        response.read()


def test_closed_by_a_thread_while_data_comes_in(client: atls.Client, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    content = _native.content
    response = client.post(sim.url(SLOW), json=PROMPT)

    def closes(buffer: Any) -> bytes:
        elsewhere(response.close)
        return content(buffer)

    monkeypatch.setattr(_exchange, "content", closes)
    response._exchange._data.clear()
    with pytest.raises(atls.Canceled):
        next(response.iter_bytes())


def test_closed_by_a_thread_before_the_head_is_judged(client: atls.Client, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    until = _exchange.Exchange._until

    def closes(self: Any, *arguments: Any) -> Generator[Any, None, None]:
        yield from until(self, *arguments)
        elsewhere(self.close)

    monkeypatch.setattr(_exchange.Exchange, "_until", closes)
    with pytest.raises((atls.Canceled, atls.Closed)):
        client.get(sim.url("/small"))


class At:
    """Does something at the n-th line of the package, as a handler of a signal would that comes there."""

    def __init__(self, line: int, work: Callable[[], None]) -> None:
        self._left, self._work = line, work
        self.done = False

    def _call(self, frame: FrameType, _event: str, _argument: object) -> Any:
        return self._line if Path(frame.f_code.co_filename).parent == Path(atls.__file__).parent else None

    def _line(self, _frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line":
            self._left -= 1
            if self._left == 0:
                self.done = True
                self._work()
        return self._line

    def __enter__(self) -> At:
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)


class Opened:
    """A response, once there is one."""

    response: atls.Response | None = None

    def close(self) -> None:
        if self.response is not None:
            self.response.close()


@pytest.mark.parametrize(("which", "step"), [("token", 3), ("response", 3), ("client", 7)])
def test_a_handler_may_come_at_any_line(sim: Simulator, which: str, step: int) -> None:
    line, whole, ended = 1, 0, 0
    settings = sim.settings()
    while True:
        client, token = atls.Client(**settings), atls.CancelToken()
        opened = Opened()
        with client, At(line, {"token": token.cancel, "client": client.close, "response": opened.close}[which]) as at:
            try:
                opened.response = client.post(sim.url("/echo"), content=b"x" * 100, cancel=token)
                assert opened.response.read() == b"x" * 100
                whole += 1
            except (atls.Canceled, atls.Closed):
                ended += 1
        if not at.done:
            break
        line += step
    assert whole > 1 and ended > 1 and line > 100


def test_a_handler_of_a_signal_cancels_what_it_interrupts(client: atls.Client, sim: Simulator) -> None:
    token = atls.CancelToken()
    before = signal.signal(signal.SIGALRM, lambda _signal, _frame: token.cancel())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(atls.Canceled):
            client.get(sim.url("/hang"), cancel=token, timeout=None)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_two_threads_may_not_wait_for_one_response(client: atls.Client, sim: Simulator) -> None:
    ends: list[BaseException] = []

    def reads() -> None:
        try:
            response.read()
        except BaseException as error:
            ends.append(error)

    response = client.post(sim.url("/v1/chat/completions?pause=9000"), json=PROMPT)
    first = threading.Thread(target=reads)
    first.start()
    time.sleep(0.3)
    with pytest.raises(RuntimeError, match="another thread"):
        response.read()
    # The first one goes on as if nothing had been tried.
    assert first.is_alive()
    response.cancel()
    first.join()
    assert [type(error) for error in ends] == [atls.Canceled]


@pytest.mark.parametrize("seconds", [float("inf"), 1e9, 1e300])
def test_a_timeout_may_be_as_long_as_it_likes(client: atls.Client, sim: Simulator, seconds: float) -> None:
    timeout = atls.Timeout(seconds, seconds, seconds, seconds, seconds)
    assert len(client.post(sim.url(SLOW), json=PROMPT, timeout=timeout).read()) > 100
    assert client.post(sim.url("/echo"), content=iter([b"x"] * 9), timeout=timeout).read() == b"x" * 9

    async def work() -> None:
        async with atls.AsyncClient(**sim.settings(timeout=timeout)) as other:
            assert len(await (await other.post(sim.url(SLOW), json=PROMPT)).read()) > 100

    asyncio.run(work())


class Stalled:
    """A source that gives one piece and then nothing; knows when it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            yield b"x"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.closed = True


def test_a_stalled_source_holds_nothing_up(sim: Simulator) -> None:
    async def work() -> None:
        async with atls.AsyncClient(**sim.settings()) as client:
            source = Stalled()
            with pytest.raises(atls.TimedOut):
                await client.post(sim.url("/sink"), content=source.pieces(), timeout=atls.Timeout(total=0.5))
            assert source.closed
            source = Stalled()
            response = await client.post(sim.url("/hasty?close"), content=source.pieces())
            assert response.status == 413 and await response.read() == b"hasty" and source.closed
            source = Stalled()
            sending = asyncio.ensure_future(client.post(sim.url("/sink"), content=source.pieces()))
            await asyncio.sleep(0.3)
            client.close()
            with pytest.raises(atls.Closed):
                await sending
            assert source.closed

    asyncio.run(asyncio.wait_for(work(), 30))


def test_a_source_is_run_by_one_task_and_closed(sim: Simulator) -> None:
    tasks = set()
    closed = False

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            for _ in range(100):
                tasks.add(asyncio.current_task())
                await asyncio.sleep(0)
                yield bytes(64 << 10)
        finally:
            closed = True

    async def fails() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("no more")

    async def work() -> None:
        async with atls.AsyncClient(**sim.settings()) as client:
            assert len(await (await client.post(sim.url("/echo"), content=pieces())).read()) == 100 * (64 << 10)
            with pytest.raises(LookupError, match="no more"):
                await client.post(sim.url("/echo"), content=fails())

    asyncio.run(work())
    assert len(tasks) == 1 and closed
