"""Sends a prompt to an attested LLM, prints the verdict and then the tokens as they come, and hangs up after some of them.

usage: chat.py URL POLICY.json PROMPT

Variables of the environment point it at the simulator: ATLS_ROOT_PEM and ATLS_SIMULATED_ROOT, as for the examples in C.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

import atls


def trust() -> dict[str, Any]:
    """The simulator's roots, if there are any."""
    settings: dict[str, Any] = {}
    if "ATLS_ROOT_PEM" in os.environ:
        settings["root_pem"] = Path(os.environ["ATLS_ROOT_PEM"]).read_bytes()
    if "ATLS_SIMULATED_ROOT" in os.environ:
        settings["verifier"] = atls.Verifier(simulated_roots={"intel": Path(os.environ["ATLS_SIMULATED_ROOT"]).read_bytes()})
    return settings


def chat(url: str, policy: Path, prompt: str) -> None:
    # snippet: chat
    question = {"stream": True, "messages": [{"role": "user", "content": prompt}]}
    with atls.Client(policy, **trust()) as client:
        with client.post(url, json=question) as response:  # sends nothing before the policy holds
            print(response.verdict)
            events = (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: {"))
            for event in itertools.islice(events, 10):  # leaving the block cancels the rest
                print(event["choices"][0]["delta"]["content"], end="", flush=True)
    # end snippet


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        chat(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
    except atls.AttestationError as refused:
        if refused.verdict is not None:
            print(refused.verdict, file=sys.stderr)
        sys.exit(f"refused: {refused}")
