"""Policies and verdicts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Union

from ._native import Bytes, create, ffi, lib, made, own, text

_OUTCOMES = {0: "pass", 1: "fail", 2: "skipped"}


class Policy:
    """What a server must prove (docs/policy.md): a JSON document, as text or as the mapping that it would be parsed to.

    Unknown fields, empty lists and wrong lengths are `PolicyInvalid`, which names the field. Immutable; for any number of threads.
    """

    def __init__(self, document: str | bytes | Mapping[str, Any]) -> None:
        given = Bytes(_json(document))
        self._handle = create("atls_policy", lib.atls_policy_free, lib.atls_policy_new, given.value)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Policy:
        """Reads the document from a file."""
        return cls(Path(path).read_bytes())

    @classmethod
    def measuring(cls, settings: str | bytes | Mapping[str, Any] = b"") -> Policy:
        """A policy that nothing satisfies, to see what a server is before there is a policy for it.

        A request under it sends nothing and always fails, with `OnlyMeasured` if nothing else is wrong; the verdict of the error says what was
        seen. `settings` may have the members `binding`, `identity`, `collateral`, `ra_tls` and `allow_simulated` of a policy.
        """
        given = Bytes(_json(settings))
        policy = cls.__new__(cls)
        policy._handle = create("atls_policy", lib.atls_policy_free, lib.atls_policy_new_measuring, given.value)
        return policy


def _json(document: str | bytes | Mapping[str, Any]) -> bytes:
    if isinstance(document, Mapping):
        document = json.dumps(document)
    if isinstance(document, str):
        document = document.encode()
    if not isinstance(document, bytes):
        raise TypeError(f"a policy is a mapping or JSON as str or bytes, not {type(document).__name__}")
    return document


PolicySource = Union[Policy, Mapping[str, Any], str, bytes, "os.PathLike[str]"]


def policy_of(source: PolicySource) -> Policy:
    """A policy, a document, or a file that has one; a str is a document, never a path."""
    if isinstance(source, Policy):
        return source
    if isinstance(source, os.PathLike):
        return Policy.from_file(source)
    return Policy(source)


class Check(NamedTuple):
    """One line of a verdict."""

    #: Stable name, for example "report_data".
    name: str
    #: "pass", "fail", or "skipped" if it was not judged.
    outcome: str
    expected: str
    actual: str


class Verdict:
    """What the evidence showed, check by check. True if it is trusted, and false otherwise."""

    _handle: Any

    def __init__(self) -> None:
        raise TypeError("verdicts come from responses, errors and verify()")

    @classmethod
    def _adopt(cls, handle: Any) -> Verdict:
        verdict = cls.__new__(cls)
        verdict._handle = handle
        return verdict

    @property
    def trusted(self) -> bool:
        """Whether all mandatory checks ran and every check that ran passed."""
        return bool(lib.atls_verdict_trusted(self._handle))

    def __bool__(self) -> bool:
        return self.trusted

    @property
    def status(self) -> int:
        """0 if trusted, else the status of the first check that failed."""
        return int(lib.atls_verdict_status(self._handle))

    @property
    def tee_type(self) -> str:
        """For example "tdx" or "snp"."""
        return text(lib.atls_verdict_tee_type(self._handle))

    @property
    def tcb_status(self) -> str:
        """For example "UpToDate"; "" if the quote is not valid or the vendor publishes none."""
        return text(lib.atls_verdict_tcb_status(self._handle))

    @property
    def trust_anchor(self) -> str:
        """Which root the evidence must lead to: "intel", "amd" and so on, or "simulated" in tests."""
        return text(lib.atls_verdict_trust_anchor(self._handle))

    @property
    def bound_to_session(self) -> bool:
        """Whether the evidence was checked to belong to a TLS session."""
        return bool(lib.atls_verdict_bound_to_session(self._handle))

    @property
    def advisories(self) -> list[str]:
        """Security advisories that apply to the platform."""
        count = lib.atls_verdict_advisory_count(self._handle)
        return [text(lib.atls_verdict_advisory(self._handle, index)) for index in range(count)]

    @property
    def checks(self) -> list[Check]:
        """All checks, in order."""
        return [self._check(index) for index in range(lib.atls_verdict_check_count(self._handle))]

    def _check(self, index: int) -> Check:
        return Check(
            text(lib.atls_verdict_check_name(self._handle, index)),
            # An outcome that is not known is no pass.
            _OUTCOMES.get(lib.atls_verdict_check_outcome(self._handle, index), "fail"),
            text(lib.atls_verdict_check_expected(self._handle, index)),
            text(lib.atls_verdict_check_actual(self._handle, index)),
        )

    @property
    def failed(self) -> Check | None:
        """The first check that failed; None if none did."""
        return next((check for check in self.checks if check.outcome == "fail"), None)

    @property
    def json(self) -> str:
        """The whole verdict as JSON (docs/verdict.md)."""
        return text(lib.atls_verdict_json(self._handle))

    def draft_policy(self) -> str:
        """A draft of a policy that pins what was seen, as JSON for `Policy`.

        What was seen is not what ought to run: compare it with values of your own computation before you use it.
        """
        return made(lib.atls_verdict_draft_policy, self._handle).decode()

    def __str__(self) -> str:
        lines = [f"{check.outcome:7}  {check.name:24} {check.actual}" for check in self.checks]
        lines.append(f"{'trusted' if self.trusted else 'NOT TRUSTED'}: trust anchor {self.trust_anchor}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<atls.Verdict {self.tee_type} {'trusted' if self.trusted else 'NOT TRUSTED'}>"


def verdict_of(handle: Any) -> Verdict | None:
    """Takes over a new reference; None for NULL."""
    return None if handle == ffi.NULL else Verdict._adopt(own(handle, lib.atls_verdict_free))
