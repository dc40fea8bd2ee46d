"""atls verify and atls collateral."""

import json

import pytest
from calling import BASE, ROOTS, SIM, SOURCES, TRUST, Machine, fails, passes, text, tool

QUOTE = ["verify", SIM / "quote.bin", "--format", "quote", "--event-log", SIM / "log.json"]
COLLATERAL = ["--collateral", SIM / "collateral.json"]


@pytest.fixture
def consenting(policy):
    document = json.loads((SIM / "policy.json").read_text())
    return policy(document | {"allow_simulated": True})


def test_good_evidence(consenting):
    out = passes(tool(*QUOTE, *consenting, *COLLATERAL, *ROOTS)).stdout.decode()
    assert "  pass  quote" in out and "trusted: tdx, TCB UpToDate, trust anchor simulated (not bound to a session)" in out
    verdict = json.loads(passes(tool(*QUOTE, *consenting, *COLLATERAL, *ROOTS, "-j")).stdout)
    assert verdict["trusted"] and not verdict["bound_to_session"]


def test_another_policy_refuses():
    done = tool(*QUOTE, "--policy", SIM / "wrong-policy.json", *COLLATERAL, *ROOTS)
    fails(4, "not trusted: MEASUREMENT_MISMATCH", done=done)
    assert b"FAIL" in done.stdout


@pytest.mark.parametrize("time, code", [("2026-11-26", None), ("1000000000", 4), ("2001-09-09T01:46:40Z", 4), ("2099-01-01", 4)])
def test_at_a_time(time, code, consenting):
    done = tool(*QUOTE, *consenting, *COLLATERAL, *ROOTS, "--at", time)
    assert code is None or done.returncode == code, text(done)


@pytest.mark.parametrize("time", ["tomorrow", "2026-13-01", "2026-11-26T12:00", "-1", "", "2026-11-26 12:00:00", "99999999999999999999",
                                  "2026-02-31", "2026-02-29", "2026-04-31T00:00:00Z", "2026-11-26T24:00:00Z", "2026-11-26T23:59:60Z"])
def test_times_that_are_none(time, consenting):
    fails(1, f"--at: '{time}' is not a time", done=tool(*QUOTE, *consenting, *COLLATERAL, *ROOTS, "--at", time))


def test_what_is_missing(consenting):
    fails(1, "--policy FILE is missing", done=tool(*QUOTE, *COLLATERAL, *ROOTS))
    fails(1, "collateral", done=tool(*QUOTE, *consenting, *ROOTS))
    fails(1, "--event-log is only for --format quote", done=tool("verify", SIM / "quote.bin", "--event-log", SIM / "log.json", *consenting))
    fails(4, done=tool("verify", SIM / "quote.bin", *consenting, *COLLATERAL, *ROOTS))
    fails(2, "/none", done=tool("verify", "/none", *consenting, *COLLATERAL, *ROOTS))
    fails(2, "Is a directory", done=tool("verify", SIM, *consenting, *COLLATERAL, *ROOTS))
    fails(4, "/dev/null", done=tool(*QUOTE, *consenting, "--collateral", "/dev/null", *ROOTS))


@pytest.mark.parametrize("format", "ra-tls tdx-quote snp-report nitro-document nitro-tpm-document dstack-attestation coco-az coco-tdx json".split())
def test_formats_that_it_is_not(format, consenting, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"not this")
    done = tool("verify", path, "--format", format, *consenting, *COLLATERAL, *ROOTS)
    assert done.returncode in (1, 4) and str(path) in text(done), text(done)


def test_a_quote_as_a_document(consenting):
    """Without its log it says nothing of the application that the policy names."""
    done = tool("verify", SIM / "quote.bin", "--format", "tdx-quote", *consenting, *COLLATERAL, *ROOTS)
    assert done.returncode == 4 and b"  pass  quote" in done.stdout, text(done)


def test_collateral_is_fetched_kept_and_used(tmp_path, policy):
    bundle, cache = tmp_path / "bundle.json", tmp_path / "cache"
    passes(tool("collateral", "fetch", BASE, *TRUST, *SOURCES, "-o", bundle))
    assert json.loads(bundle.read_text())
    document = json.loads((SIM / "policy.json").read_text()) | {"collateral": {"offline": True}}
    get = ["get", *policy(document), *TRUST, f"{BASE}/small"]
    fails(4, done=tool(*get))
    passes(tool(*get, "--collateral", bundle))
    out = passes(tool("collateral", "import", bundle, "--collateral-cache", cache, *ROOTS)).stdout.decode()
    assert "documents taken" in out and not out.endswith(": 0 documents taken\n")
    passes(tool(*get, "--collateral-cache", cache))
    again = passes(tool("collateral", "export", "--collateral-cache", cache, *ROOTS)).stdout
    assert json.loads(again).keys() == json.loads(bundle.read_text()).keys()
    # Of the vendor's own root these documents are forgeries.
    fails(4, str(bundle), done=tool("collateral", "import", bundle, "--collateral-cache", tmp_path / "other"))


def test_collateral_of_amd(tmp_path):
    with Machine("snp") as machine:
        out = passes(tool("collateral", "fetch", machine.url, *TRUST, *SOURCES)).stdout
        assert b"crl" in out.lower()


@pytest.mark.parametrize(
    "words, says",
    [
        (["fetch"], "fetch needs one URL"),
        (["export"], "export needs --collateral-cache FOLDER"),
        (["import"], "import needs the files"),
        (["import", "x"], "import needs --collateral-cache FOLDER"),
        (["export", "x", "--collateral-cache", "y"], "unexpected argument 'x'"),
    ],
)
def test_what_collateral_needs(words, says):
    fails(1, says, done=tool("collateral", *words))


def test_a_cache_that_is_not_there_is_not_made(tmp_path):
    cache, out = tmp_path / "typo", tmp_path / "bundle.json"
    fails(2, f"{cache}: No such file or directory", done=tool("collateral", "export", "--collateral-cache", cache, "-o", out))
    assert list(tmp_path.iterdir()) == []
    cache.mkdir()
    done = fails(2, f"{cache}: there are no documents", done=tool("collateral", "export", "--collateral-cache", cache, "-o", out))
    assert done.stdout == b"" and not out.exists()


def test_a_machine_without_documents_gives_no_bundle(tmp_path):
    with Machine("nitro") as machine:
        done = fails(2, "there are no documents", done=tool("collateral", "fetch", machine.url, *TRUST, *SOURCES))
        assert done.stdout == b""


def test_bundles_that_are_none(tmp_path):
    for data in (b"", b"{}", b"[1", b"\x00" * 100):
        path = tmp_path / "bundle"
        path.write_bytes(data)
        done = tool("collateral", "import", path, "--collateral-cache", tmp_path / "cache", *ROOTS)
        assert done.returncode in (0, 4) and (done.returncode == 4 or b": 0 documents" in done.stdout), (data, text(done))


def test_a_cache_that_is_a_file(tmp_path):
    path = tmp_path / "file"
    path.touch()
    done = tool("collateral", "export", "--collateral-cache", path)
    assert done.returncode == 2 and str(path) in text(done), text(done)
