"""Policies, verdicts, offline verification, verifiers and errors."""

from __future__ import annotations

import json
import pickle
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import SIM, Simulator
from hostile import Impostor

import atls
from atls.errors import class_of

ROOTS = {"intel": (SIM / "root.der").read_bytes()}


def stored(policy: Any = None, **changes: Any) -> atls.Verdict:
    """The simulator's stored quote, judged."""
    given: dict[str, Any] = {
        "evidence": (SIM / "quote.bin").read_bytes(),
        "event_log": (SIM / "log.json").read_bytes(),
        "policy": policy or SIM / "policy.json",
        "collateral": (SIM / "collateral.json").read_bytes(),
        "skip_binding": True,
        "simulated_roots": ROOTS,
        **changes,
    }
    return atls.verify(**given)


def test_policies_are_read_from_text_mappings_and_files() -> None:
    text = (SIM / "policy.json").read_text()
    for source in (text, text.encode(), json.loads(text), SIM / "policy.json", atls.Policy(text)):
        assert stored(source).trusted


def test_bad_policies_name_the_field() -> None:
    with pytest.raises(atls.PolicyInvalid, match="unheard_of"):
        atls.Policy({**json.loads((SIM / "policy.json").read_text()), "unheard_of": 1})
    with pytest.raises(atls.PolicyInvalid):
        atls.Policy(b"")
    with pytest.raises(TypeError, match="a policy is a mapping or JSON as str or bytes, not int"):
        atls.Policy(7)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        atls.Client(Path("no such file"))


def test_verdict_in_full() -> None:
    verdict = stored()
    assert verdict and verdict.trusted and verdict.status == 0
    assert (verdict.tee_type, verdict.tcb_status, verdict.trust_anchor) == ("tdx", "UpToDate", "simulated")
    assert not verdict.bound_to_session
    assert json.loads(verdict.json)["version"] == 1
    names = [check.name for check in verdict.checks]
    assert "report_data" in names and len(set(names)) == len(names)
    assert verdict.checks[names.index("report_data")].outcome == "skipped"
    assert "trusted: trust anchor simulated" in str(verdict) and "NOT" not in str(verdict)
    assert isinstance(verdict.advisories, list)


def test_a_refused_verdict_is_false() -> None:
    verdict = stored(SIM / "wrong-policy.json")
    assert not verdict and not verdict.trusted and verdict.status == 405
    assert verdict.failed is not None and verdict.failed.outcome == "fail"
    assert "eeee" in verdict.failed.expected
    assert "NOT TRUSTED" in str(verdict) and "NOT TRUSTED" in repr(verdict)
    with pytest.raises(TypeError):
        atls.Verdict()


def test_drafts_pin_what_was_seen() -> None:
    draft = json.loads(stored(SIM / "wrong-policy.json").draft_policy())
    assert stored({**draft, "allow_simulated": True}).trusted


def test_a_policy_that_measures_accepts_nothing(sim: Simulator) -> None:
    measuring = atls.Policy.measuring({"allow_simulated": True})
    with Impostor(SIM, sim.ports["HTTP"], "relays") as impostor, atls.Client(**sim.settings(policy=measuring)) as client:
        with pytest.raises(atls.OnlyMeasured) as caught:
            client.post(sim.url("/echo"), content=b"secret")
        with pytest.raises(atls.BindingMismatch):
            client.post(f"https://localhost:{impostor.port}/secret", content=b"secret")
    assert impostor.seen and b"secret" not in impostor.seen
    seen = caught.value.verdict
    assert seen is not None and not seen and seen.bound_to_session
    assert atls.Policy(seen.draft_policy())
    assert not stored(measuring)
    assert isinstance(atls.Policy.measuring(), atls.Policy) and isinstance(atls.Policy.measuring("{}"), atls.Policy)
    with pytest.raises(atls.PolicyInvalid, match="measurements"):
        atls.Policy.measuring({"measurements": []})
    with pytest.raises(TypeError):
        atls.Policy.measuring(1)  # type: ignore[arg-type]


def test_time_and_collateral_count() -> None:
    now = time.time()
    assert stored(at=now).trusted and stored(at=datetime.now(timezone.utc)).trusted
    late = stored(at=now + 10 * 365 * 86400)
    assert not late and late.status in (404, 409)
    with pytest.raises(atls.InvalidState):
        stored(collateral=None)
    with pytest.raises(atls.CollateralInvalid):
        stored(collateral=b"{}")


def test_evidence_without_a_session_needs_a_word() -> None:
    with pytest.raises(atls.InvalidState):
        stored(skip_binding=False)
    session = atls.Session(nonce=bytes(32), exporter=bytes(32), leaf=b"no certificate")
    with pytest.raises(ValueError, match="exclude each other"):
        stored(session=session)
    wrong = stored(skip_binding=False, session=session)
    assert not wrong and wrong.status == 406
    exporter = atls.ExporterSession(bytes(32), bytes(32), b"no certificate", "localhost")
    assert not stored(skip_binding=False, session=exporter)
    with pytest.raises(atls.InvalidArgument):
        stored(skip_binding=False, session=atls.Session(b"short", bytes(32), b"x"))


def test_simulated_roots_need_both_consents() -> None:
    policy = json.loads((SIM / "policy.json").read_text())
    del policy["allow_simulated"]
    with pytest.raises(atls.TrustAnchorError):
        stored(policy)
    assert not stored(simulated_roots=None)


def test_documents_of_other_stacks() -> None:
    with pytest.raises(atls.Unsupported):
        stored(event_log=None, format="unheard-of")
    with pytest.raises(ValueError, match="format and event_log exclude each other"):
        stored(format="tdx-quote")
    with pytest.raises(atls.EvidenceInvalid):
        stored(event_log=None, evidence=b"{}")


def test_verifiers_keep_collateral(sim: Simulator, tmp_path: Path) -> None:
    first = atls.Verifier(simulated_roots=ROOTS, disk_cache=tmp_path / "cache")
    with atls.Client(**sim.settings(verifier=first)) as client:
        client.get(sim.url("/small")).read()
    bundle = first.export()
    second = atls.Verifier(simulated_roots=ROOTS)
    assert second.import_(bundle) > 0
    assert second.import_(bundle) == 0
    assert stored(collateral=bundle).trusted
    assert any((tmp_path / "cache").iterdir())
    with pytest.raises(atls.CollateralInvalid):
        second.import_(b"{}")


def test_errors_travel_between_processes(sim: Simulator) -> None:
    with atls.Client(**sim.settings()) as client, pytest.raises(atls.BindingMismatch) as caught:
        client.get(sim.url("/small", "EVIL"))
    there = pickle.loads(pickle.dumps(caught.value))
    assert type(there) is atls.BindingMismatch and str(there) == str(caught.value)
    assert (there.check, there.phase, there.verdict) == ("report_data", caught.value.phase, None)


def test_every_status_has_a_class() -> None:
    known = {value: text for value in range(100, 1000) if (text := atls.Error("", status=value).status_name) != "UNKNOWN"}
    assert len(known) > 40
    hundreds = {1: atls.UsageError, 2: atls.TransportError, 3: atls.TLSError, 4: atls.AttestationError, 5: atls.HTTPError, 9: atls.InternalError}
    for value in known:
        kind = class_of(value)
        assert issubclass(kind, hundreds[value // 100])
        # Each of these has one of its own; the rest is for the driver without I/O, which is not bound here.
        if 200 < value < 520:
            assert kind.status == value, known[value]
    assert class_of(499) is atls.AttestationError
    assert class_of(777) is atls.Error
