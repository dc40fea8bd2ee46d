"""Fixtures of all tests here."""

import json
import signal

import pytest

# A shell starts what runs in its background with these ignored, and the tool leaves ignored what was ignored when it began.
for number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def policy(tmp_path):
    """Writes a policy to a file, and gives the options that name it."""

    def write(document):
        path = tmp_path / "a-policy.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return ["--policy", str(path)]

    return write
