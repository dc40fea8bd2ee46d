"""The simulator that the tests run against, by the variables that the project's other tests use."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import atls

# A shell starts what runs in its background with this ignored, and Python then raises no KeyboardInterrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SIM = Path(os.environ["ATLS_SIM"])


class Simulator:
    """Its ports, policies and roots."""

    def __init__(self) -> None:
        lines = (SIM / "ports").read_text().split()
        self.ports = {key: int(value) for key, value in (line.split("=") for line in lines)}
        self.verifier = atls.Verifier(simulated_roots={"intel": (SIM / "root.der").read_bytes()})
        self.policy = atls.Policy.from_file(SIM / "policy.json")
        self.wrong_policy = atls.Policy.from_file(SIM / "wrong-policy.json")

    def url(self, path: str, server: str = "HTTP") -> str:
        return f"https://localhost:{self.ports[server]}{path}"

    def settings(self, **changes: Any) -> dict[str, Any]:
        """What a client needs to reach it."""
        return {"policy": self.policy, "verifier": self.verifier, "root_pem": (SIM / "web-ca.pem").read_text(), **changes}


@pytest.fixture(scope="session")
def sim() -> Simulator:
    return Simulator()


@pytest.fixture
def client(sim: Simulator) -> Iterator[atls.Client]:
    with atls.Client(**sim.settings()) as made:
        yield made
