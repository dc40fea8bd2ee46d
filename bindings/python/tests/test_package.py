"""The package as it is installed, and its README."""

from __future__ import annotations

import ast
import importlib.metadata
import re
from pathlib import Path

import pytest

import atls

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_versions_agree() -> None:
    assert atls.__version__ == importlib.metadata.version("libatls")


def test_what_is_exported_is_there() -> None:
    assert sorted(set(atls.__all__)) == sorted(atls.__all__)
    assert all(hasattr(atls, name) for name in atls.__all__)


def test_the_licences_of_what_it_carries_are_there() -> None:
    files = {file.name: file for file in importlib.metadata.files("libatls") or () if "licenses" in file.parts}
    assert set(files) == {"LICENSE", "third-party.txt"}
    notices = files["third-party.txt"].read_text()
    assert "\n  rustls " in notices and len(notices) > 10_000


@pytest.mark.parametrize("block", BLOCKS)
def test_snippets_of_the_readme_compile(block: str) -> None:
    compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_names_in_the_readme_are_there() -> None:
    assert len(BLOCKS) >= 3
    for name in re.findall(r"\batls\.([A-Za-z]\w*)", README):
        assert name in ("httpx", "httpx2", "h") or hasattr(atls, name), name
