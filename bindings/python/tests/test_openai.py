"""The openai package over the transports, and the examples, which are programs of their own."""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from conftest import SIM, Simulator
from hostile import Impostor

import atls
from atls.httpx2 import AsyncAttestedTransport

EXAMPLES = Path(os.environ.get("ATLS_PYTHON_EXAMPLES", Path(__file__).parents[1] / "examples"))
Make = Callable[..., openai.OpenAI]
MESSAGES: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture(params=["httpx", "httpx2"])
def client(request: pytest.FixtureRequest) -> Callable[..., openai.OpenAI]:
    """The package takes clients of either library."""
    library, transports = importlib.import_module(request.param), importlib.import_module(f"atls.{request.param}")

    def make(url: str, **settings: Any) -> openai.OpenAI:
        http_client = library.Client(transport=transports.AttestedTransport(**settings))
        return openai.OpenAI(base_url=url, api_key="a secret", http_client=http_client)

    return make


def test_tokens_stream(sim: Simulator, client: Make) -> None:
    with client(sim.url("/v1"), **sim.settings()) as attested:
        begun, came = time.monotonic(), []
        for chunk in attested.chat.completions.create(model="any", stream=True, messages=MESSAGES):
            came.append((time.monotonic() - begun, chunk.choices[0].delta.content or ""))
    assert "You said: hello" in "".join(text for _, text in came)
    assert came[-1][0] - came[0][0] > 0.1


def test_a_stream_can_be_left(sim: Simulator, client: Make) -> None:
    with client(sim.url("/v1"), **sim.settings()) as attested:
        with attested.chat.completions.create(model="any", stream=True, messages=MESSAGES) as stream:
            next(iter(stream))
        assert "".join(
            chunk.choices[0].delta.content or "" for chunk in attested.chat.completions.create(model="any", stream=True, messages=MESSAGES)
        )


def test_a_refusal_is_not_repeated_as_if_the_network_had_failed(sim: Simulator, client: Make) -> None:
    with Impostor(SIM, sim.ports["HTTP"], "relays") as impostor:
        with client(f"https://localhost:{impostor.port}/v1", **sim.settings()) as attested, pytest.raises(atls.BindingMismatch) as caught:
            attested.chat.completions.create(model="any", messages=MESSAGES)
    assert caught.value.check == "report_data"
    assert impostor.seen.count(b"POST ") == 1
    assert b"secret" not in impostor.seen and b"hello" not in impostor.seen


def test_a_failing_network_is(sim: Simulator, client: Make) -> None:
    with client("https://localhost:1/v1", **sim.settings()) as attested, pytest.raises(openai.APIConnectionError) as caught:
        attested.with_options(max_retries=1).chat.completions.create(model="any", messages=MESSAGES)
    assert type(caught.value.__cause__).__name__ == "ConnectError"
    with client(sim.url(""), **sim.settings()) as attested, pytest.raises(openai.APITimeoutError):
        attested.with_options(max_retries=0, timeout=0.5).get("/hang", cast_to=object, options={})


def test_asyncio(sim: Simulator) -> None:
    async def work() -> None:
        transport = AsyncAttestedTransport(**sim.settings())
        made = openai.AsyncOpenAI(base_url=sim.url("/v1"), api_key="x", http_client=httpx2.AsyncClient(transport=transport))
        async with made as attested:
            stream = await attested.chat.completions.create(model="any", stream=True, messages=MESSAGES)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            assert "You said: hello" in text
            with pytest.raises(atls.BindingMismatch):
                await attested.with_options(base_url=sim.url("/v1", "EVIL")).chat.completions.create(model="any", messages=MESSAGES)

    asyncio.run(work())


def example(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    roots = {"ATLS_ROOT_PEM": str(SIM / "web-ca.pem"), "ATLS_SIMULATED_ROOT": str(SIM / "root.der")}
    call = [sys.executable, "-X", "dev", str(EXAMPLES / name), *arguments]
    return subprocess.run(call, capture_output=True, text=True, timeout=50, env={**os.environ, **roots})


def test_example_chat(sim: Simulator) -> None:
    done = example("chat.py", sim.url("/v1/chat/completions"), str(SIM / "policy.json"), "hello " * 40)
    assert (done.returncode, done.stderr) == (0, "")
    verdict, _, answer = done.stdout.partition("\ntrusted: trust anchor simulated\n")
    assert "report_data" in verdict
    assert answer == "You said: " + "hello " * 8
    refused = example("chat.py", sim.url("/v1/chat/completions"), str(SIM / "wrong-policy.json"), "hello")
    assert refused.returncode == 1 and "NOT TRUSTED" in refused.stderr and refused.stdout == ""


def test_example_openai(sim: Simulator) -> None:
    done = example("openai_chat.py", sim.url("/v1"), str(SIM / "policy.json"), "hello")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "You said: hello And nobody but this enclave has read it.\n"
    refused = example("openai_chat.py", sim.url("/v1", "EVIL"), str(SIM / "policy.json"), "hello")
    assert refused.returncode == 1 and "BindingMismatch" in refused.stderr and "report_data" in refused.stderr
