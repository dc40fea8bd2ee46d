"""Verifying stored evidence, and the vendors' documents that it needs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Union

from ._native import Bytes, call, create, ffi, lib, made, name, optional_name
from .errors import InternalError
from .verdict import Policy, PolicySource, Verdict, policy_of, verdict_of

Document = Union[str, bytes, Mapping[str, Any]]
#: For tests: the simulator's roots by vendor, "intel", "amd", "aws", "microsoft", "nvidia"; PEM, or DER for Intel's.
Roots = Mapping[str, bytes]


@dataclass(frozen=True)
class Session:
    """The TLS session that evidence by atlas-v1 must be bound to."""

    #: The verifier's, 32 bytes.
    nonce: bytes
    #: The TLS exporter value for "EXPORTER-Channel-Binding", 32 bytes.
    exporter: bytes
    #: The server's leaf certificate, DER.
    leaf: bytes


@dataclass(frozen=True)
class ExporterSession:
    """The TLS session that a server's evidence by exporter-v1 must be bound to."""

    nonce: bytes
    exporter: bytes
    server_leaf: bytes
    server_name: str | None = None
    client_leaf: bytes = b""


def verify(
    evidence: Document,
    policy: PolicySource,
    collateral: Document | None = None,
    at: int | float | datetime | None = None,
    *,
    session: Session | ExporterSession | None = None,
    skip_binding: bool = False,
    format: str | None = None,
    event_log: bytes | None = None,
    simulated_roots: Roots | None = None,
) -> Verdict:
    """Judges stored evidence. Makes no connection. A verdict that is not trusted is returned, not raised: ask `verdict.trusted`.

    `evidence` is JSON; with `format`, a document of another stack (docs of atls_verification_set_evidence_document()); with `event_log`,
    a binary quote and the text of its log. `collateral` is a bundle (`Verifier.export`). `at` is the time to judge at, now by default.
    Either `session` or `skip_binding=True` is required: evidence that is not bound to a session may be anybody's, replayed.
    """
    judged = create("atls_verification", lib.atls_verification_free, lib.atls_verification_new)
    _set_evidence(judged, evidence, format, event_log)
    accepted: Policy = policy_of(policy)
    call(lib.atls_verification_set_policy, judged, accepted._handle)
    if collateral is not None:
        given = Bytes(_bytes(collateral))
        call(lib.atls_verification_set_collateral_json, judged, given.value)
    moment = time.time() if at is None else at.timestamp() if isinstance(at, datetime) else at
    call(lib.atls_verification_set_time, judged, int(moment))
    if session is not None and skip_binding:
        raise ValueError("session and skip_binding exclude each other")
    if session is not None:
        _set_session(judged, session)
    elif skip_binding:
        call(lib.atls_verification_skip_binding, judged)
    add = (lib.atls_verification_set_simulated_root, lib.atls_verification_add_simulated_root)
    _add_roots(judged, simulated_roots, *add)
    out = ffi.new("atls_verdict **")
    call(lib.atls_verify, judged, out)
    verdict = verdict_of(out[0])
    if verdict is None:
        raise InternalError("no verdict was reached")
    return verdict


def _bytes(document: Document) -> bytes:
    if isinstance(document, Mapping):
        document = json.dumps(document)
    return document.encode() if isinstance(document, str) else document


def _set_evidence(judged: Any, evidence: Document, format: str | None, event_log: bytes | None) -> None:
    given = Bytes(_bytes(evidence))
    if format is not None and event_log is not None:
        raise ValueError("format and event_log exclude each other")
    if event_log is not None:
        log = Bytes(event_log)
        call(lib.atls_verification_set_quote, judged, given.value, log.value)
    elif format is not None:
        call(lib.atls_verification_set_evidence_document, judged, name(format, "format"), given.value)
    else:
        call(lib.atls_verification_set_evidence_json, judged, given.value)


def _set_session(judged: Any, session: Session | ExporterSession) -> None:
    nonce, exporter = Bytes(session.nonce), Bytes(session.exporter)
    if isinstance(session, Session):
        leaf = Bytes(session.leaf)
        call(lib.atls_verification_set_session, judged, nonce.value, exporter.value, leaf.value)
        return
    server, client = Bytes(session.server_leaf), Bytes(session.client_leaf)
    call(
        lib.atls_verification_set_exporter_session,
        judged,
        lib.ATLS_ATTESTER_SERVER,
        nonce.value,
        exporter.value,
        server.value,
        client.value,
        optional_name(session.server_name, "server_name"),
    )


def _add_roots(builder: Any, roots: Roots | None, set_der: Any, add_pem: Any) -> None:
    for vendor, root in (roots or {}).items():
        given = Bytes(root)
        if vendor == "intel" and not root.lstrip().startswith(b"-----BEGIN"):
            call(set_der, builder, given.value)
        else:
            call(add_pem, builder, name(vendor, "vendor"), given.value)


class Verifier:
    """Keeps the vendors' documents for all clients that share it: each is fetched once, refreshed in time, and never used when expired.

    `disk_cache` is a folder that also keeps them for later runs; `root_pem` are further roots for the HTTPS of their services.
    """

    def __init__(
        self,
        *,
        disk_cache: str | os.PathLike[str] | None = None,
        root_pem: str | bytes | None = None,
        simulated_roots: Roots | None = None,
    ) -> None:
        config = create("atls_verifier_config", lib.atls_verifier_config_free, lib.atls_verifier_config_new)
        if disk_cache is not None:
            folder = name(os.fspath(disk_cache), "disk_cache")
            call(lib.atls_verifier_config_set_disk_cache, config, folder)
        if root_pem is not None:
            pem = root_pem.decode() if isinstance(root_pem, bytes) else root_pem
            call(lib.atls_verifier_config_add_root_pem, config, name(pem, "root_pem"))
        add = (lib.atls_verifier_config_set_simulated_root, lib.atls_verifier_config_add_simulated_root)
        _add_roots(config, simulated_roots, *add)
        self._handle = create("atls_verifier", lib.atls_verifier_free, lib.atls_verifier_new, config)

    def export(self) -> bytes:
        """All documents as one JSON object, for a machine that cannot reach the vendor."""
        return made(lib.atls_verifier_export, self._handle)

    def import_(self, bundle: Document) -> int:
        """Takes the documents of a bundle that are newer than the ones held; returns how many."""
        given, taken = Bytes(_bytes(bundle)), ffi.new("size_t *")
        call(lib.atls_verifier_import, self._handle, given.value, taken)
        return int(taken[0])
