"""The asyncio client."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest
from conftest import SIM, Simulator
from hostile import Impostor, Stalling

import atls

PROMPT = {"messages": [{"role": "user", "content": "hello"}]}


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 50))


def test_response(sim: Simulator) -> None:
    async def work() -> None:
        async with atls.AsyncClient(**sim.settings()) as client:
            async with await client.get(sim.url("/small")) as response:
                assert response.status == 200
                assert await response.read() == b"x" * 100
                assert response.verdict.trusted and response.verdict.bound_to_session
            assert (await (await client.post(sim.url("/echo"), json=[1])).json()) == [1]
            assert await (await client.post(sim.url("/echo"), content="ä")).text() == "ä"

    run(work())


def test_bodies_come_back(sim: Simulator) -> None:
    body = hashlib.shake_128(b"body").digest(3_000_000)

    async def pieces() -> AsyncIterator[bytes]:
        yield body[:1_000_000]
        await asyncio.sleep(0.05)
        yield body[1_000_000:]

    async def work() -> None:
        async with atls.AsyncClient(**sim.settings()) as client:
            for content in (body, pieces(), io.BytesIO(body), iter([body])):
                response = await client.post(sim.url("/echo"), content=content)
                assert await response.read() == body

    run(work())


def test_lines_arrive_one_by_one(sim: Simulator) -> None:
    async def work() -> None:
        came: list[float] = []
        async with (
            atls.AsyncClient(**sim.settings()) as client,
            await client.post(sim.url("/v1/chat/completions?pause=100"), json=PROMPT) as response,
        ):
            async for line in response.iter_lines():
                came.append(time.monotonic())
                if line == "data: [DONE]":
                    break
        assert len(came) > 10 and came[-1] - came[0] > 0.5

    run(work())


def test_many_at_once_on_one_thread(sim: Simulator) -> None:
    async def work() -> None:
        async with atls.AsyncClient(**sim.settings()) as client:

            async def one(seed: int) -> bool:
                body = hashlib.shake_128(seed.to_bytes(2, "big")).digest(100_000)
                return await (await client.post(sim.url("/echo"), content=body)).read() == body

            await one(0)
            threads = threading.active_count(), len(os.listdir("/proc/self/task"))
            running = [asyncio.create_task(one(seed)) for seed in range(100)]
            await asyncio.sleep(0.05)
            # The library resolves names on helper threads of its own, at most a few.
            assert threading.active_count() == threads[0]
            assert len(os.listdir("/proc/self/task")) <= threads[1] + 16
            assert all(await asyncio.gather(*running))

    run(work())


def test_an_impostor_sees_no_request(sim: Simulator) -> None:
    async def secrets() -> AsyncIterator[bytes]:
        yield b"secret"

    async def work() -> None:
        with Impostor(SIM, sim.ports["HTTP"], "relays") as impostor:
            async with atls.AsyncClient(**sim.settings()) as client:
                for content in (b"secret", secrets()):
                    with pytest.raises(atls.BindingMismatch) as caught:
                        await client.post(f"https://localhost:{impostor.port}/secret", content=content)
                    assert caught.value.check == "report_data"
        assert impostor.seen and b"secret" not in impostor.seen

    run(work())


def test_canceling_the_task_at_every_phase(sim: Simulator) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(64 << 10)

    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(100)

    async def work() -> None:
        # A socket that nobody accepts on: TCP connects, TLS never answers.
        with socket.create_server(("127.0.0.1", 0)) as silent, Stalling(sim.ports["HTTP"], 500_000) as relay:
            nobody = silent.getsockname()[1]
            async with atls.AsyncClient(**sim.settings()) as client:

                async def body() -> None:
                    async with await client.post(sim.url("/v1/chat/completions?pause=20000"), json=PROMPT) as response:
                        await response.read()

                phases = [
                    client.get(f"https://localhost:{nobody}/"),
                    client.post(sim.url("/echo"), content=slow()),
                    client.post(f"https://localhost:{relay.port}/sink", content=endless()),
                    client.get(sim.url("/hang")),
                    body(),
                ]
                for phase in phases:
                    task = asyncio.ensure_future(phase)
                    await asyncio.sleep(0.4)
                    assert not task.done()
                    begun = time.monotonic()
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    assert time.monotonic() - begun < 5
                # Each ended, and nothing is left of it.
                for _ in range(100):
                    if not client._hub_here().slots:
                        break
                    await asyncio.sleep(0.05)
                assert not client._hub_here().slots
                assert await (await client.get(sim.url("/small"))).read()

    run(work())


def test_a_wait_that_was_canceled_can_be_made_again(sim: Simulator) -> None:
    async def work() -> None:
        async with (
            atls.AsyncClient(**sim.settings()) as client,
            await client.post(sim.url("/v1/chat/completions?pause=300"), json=PROMPT) as response,
        ):
            text = b""
            while b"[DONE]" not in text:
                try:
                    text += await asyncio.wait_for(response._hub.run(response._slot, response._exchange.read()), 0.1)
                except asyncio.TimeoutError:
                    continue
            assert text.count(b'"content"') > 10

    run(work())


def test_timeouts_and_errors(sim: Simulator) -> None:
    async def work() -> None:
        async with atls.AsyncClient(**sim.settings(timeout=atls.Timeout(read=0.3))) as client:
            with pytest.raises(atls.TimedOut):
                await client.get(sim.url("/hang"))
            with pytest.raises(atls.TimedOut):
                await (await client.post(sim.url("/v1/chat/completions?pause=9000"), json=PROMPT)).read()
            with pytest.raises(atls.Truncated):
                await (await client.get(sim.url("/cut"))).read()
            response = await client.post(sim.url("/v1/chat/completions?pause=9000"), json=PROMPT, timeout=None)
            asyncio.get_running_loop().call_later(0.2, response.cancel)
            with pytest.raises(atls.Canceled):
                await response.read()
            with Stalling(sim.ports["HTTP"], 500_000) as relay, pytest.raises(atls.TimedOut, match="took nothing"):
                await client.post(f"https://localhost:{relay.port}/sink", content=bytes(9_000_000), timeout=0.5)

    run(work())


def test_back_pressure(sim: Simulator) -> None:
    size = 50_000_000

    async def work() -> None:
        async with atls.AsyncClient(**sim.settings()) as client, await client.get(sim.url(f"/bytes/{size}")) as response:
            await asyncio.sleep(0.5)
            # What nobody has taken is held by the server, but for the credit.
            assert sum(map(len, response._exchange._data)) <= 320 << 10
            total = 0
            async for piece in response.iter_bytes():
                total += len(piece)
            assert total == size

    run(work())


def test_a_response_that_nobody_has_is_canceled(sim: Simulator) -> None:
    async def work() -> None:
        async with atls.AsyncClient(**sim.settings(max_requests=4)) as client:
            for _ in range(50):
                await client.get(sim.url("/bytes/100000000"))
            for _ in range(100):
                if not client._hub_here().slots:
                    break
                await asyncio.sleep(0.05)
            assert not client._hub_here().slots

    run(work())


def test_two_tasks_may_not_wait_for_one_response(sim: Simulator) -> None:
    async def work() -> None:
        async with atls.AsyncClient(**sim.settings()) as client:
            response = await client.post(sim.url("/v1/chat/completions?pause=9000"), json=PROMPT)
            first = asyncio.ensure_future(response.read())
            await asyncio.sleep(0.2)
            with pytest.raises(RuntimeError, match="another task"):
                await response.read()
            first.cancel()

    run(work())


def test_one_client_in_one_loop_after_the_other(sim: Simulator) -> None:
    client = atls.AsyncClient(**sim.settings())

    async def work() -> None:
        assert await (await client.get(sim.url("/small"))).read()

    for _ in range(3):
        run(work())
    client.close()
    with pytest.raises(atls.Closed):
        run(work())


def test_closing_wakes_who_waits(sim: Simulator) -> None:
    async def work() -> None:
        client = atls.AsyncClient(**sim.settings())
        task = asyncio.ensure_future(client.get(sim.url("/hang")))
        await asyncio.sleep(0.3)
        client.close()
        with pytest.raises(atls.Closed):
            await task

    run(work())
