"""Fixtures of all tests here."""

import json

import pytest


@pytest.fixture
def policy(tmp_path):
    """Writes a policy to a file, and gives the options that name it."""

    def write(document):
        path = tmp_path / "a-policy.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return ["--policy", str(path)]

    return write
