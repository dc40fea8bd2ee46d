"""The openai package, attested: three lines more than without.

usage: openai_chat.py BASE_URL POLICY.json PROMPT

Variables of the environment point it at the simulator: ATLS_ROOT_PEM and ATLS_SIMULATED_ROOT.
"""

from __future__ import annotations

import sys
from pathlib import Path

import httpx2
from chat import trust
from openai import OpenAI

from atls.httpx2 import AttestedTransport


def attested(base_url: str, policy: Path) -> OpenAI:
    # snippet: openai
    transport = AttestedTransport(policy, **trust())
    http_client = httpx2.Client(transport=transport)
    client = OpenAI(base_url=base_url, api_key="unused", http_client=http_client)
    # end snippet
    return client


def chat(client: OpenAI, prompt: str) -> None:
    with client.chat.completions.create(model="any", stream=True, messages=[{"role": "user", "content": prompt}]) as stream:
        for chunk in stream:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    chat(attested(sys.argv[1], Path(sys.argv[2])), sys.argv[3])
