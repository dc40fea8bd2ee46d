"""atls measure: each kind of machine, the draft used by atls get, and refused after one change."""

import json
import os
import pathlib
import socket
import subprocess
import time

import pytest
from calling import BASE, CA, PCCS, PEERS, PORTS, ROOT, ROOTS, SIM, SOURCES, TOOL, TRUST, WRAP, Machine, environment, fails, passes, text, tool

MOMENT = "only as good as the moment of looking"


def flip(digits):
    return ("0" if digits[0] != "0" else "1") + digits[1:]


def change(value):
    """The first measurement in a draft, changed; whether there was one."""
    names = {"mrtd", "measurement", "pcrs", "mr_enclave", "rtmr1", "app_compose_hash"}
    for name, member in value.items() if isinstance(value, dict) else []:
        if name in names and isinstance(member, str):
            value[name] = flip(member)
            return True
        if name in names and isinstance(member, list):
            member[0] = flip(member[0])
            return True
        if name == "pcrs":
            register = sorted(member, key=int)[0] if "4" not in member else "4"
            member[register][0] = flip(member[register][0])
            return True
        for inner in member if isinstance(member, list) else [member]:
            if isinstance(inner, dict) and change(inner):
                return True
    return False


def measured(url, tmp_path, *more):
    path = tmp_path / "draft.json"
    done = passes(tool("measure", url, *TRUST, *SOURCES, "-o", path, *more))
    assert MOMENT in text(done)
    return done, json.loads(path.read_text())


def serves(url, policy):
    done = tool("post", f"{url}/v1/chat/completions", *policy, *TRUST, "-d", "{}")
    return done


@pytest.mark.parametrize("kind", ["snp", "nitro", "nitro_tpm", "azure_snp_vtpm", "gpu"])
def test_each_kind(kind, tmp_path, policy):
    with Machine(kind) as machine:
        done, draft = measured(machine.url, tmp_path)
        out = done.stdout.decode()
        assert "bound to this session    yes" in out and "simulated" in out and "Draft" not in out
        tee = "tdx" if kind == "gpu" else kind
        assert f"kind                     {tee}\n" in out
        assert draft["type"] == ("dstack_tdx" if kind == "gpu" else kind)
        assert ("gpu" in draft) == (kind == "gpu")
        assert b"attested" in passes(serves(machine.url, policy(draft))).stdout.lower() or kind == "gpu"
        assert change(draft)
        fails(4, "FAIL", "NOT TRUSTED", done=serves(machine.url, policy(draft)))


def test_a_guest_of_dstack(tmp_path, policy):
    done, draft = measured(BASE, tmp_path)
    assert "compose-hash" in done.stdout.decode() and draft["app_compose_hash"]
    assert draft["collateral"]["sources"] == [PCCS]
    passes(tool("get", f"{BASE}/small", *policy(draft), *TRUST))
    draft["app_compose_hash"][0] = flip(draft["app_compose_hash"][0])
    fails(4, "app_compose", done=tool("get", f"{BASE}/small", *policy(draft), *TRUST))


@pytest.mark.parametrize("kind", ["snp", "azure_snp_vtpm"])
def test_a_machine_that_lies_gives_no_draft(kind, tmp_path):
    with Machine(kind, evil=True) as machine:
        path = tmp_path / "draft.json"
        done = fails(4, "FAIL", done=tool("measure", machine.url, *TRUST, *SOURCES, "-o", path))
        assert not path.exists() and done.stdout == b""


def test_the_draft_goes_to_stdout_with_the_table(policy):
    done = passes(tool("measure", BASE, *TRUST, *SOURCES))
    table, _, draft = done.stdout.decode().partition("Draft of a policy\n")
    assert "What runs there\n" in table
    passes(tool("get", f"{BASE}/small", *policy(draft), *TRUST))


def test_as_json(policy):
    done = passes(tool("measure", BASE, *TRUST, *SOURCES, "-j"))
    both = json.loads(done.stdout)
    assert both["verdict"]["trusted"] is False and both["verdict"]["measurements"]["mrtd"]
    assert [check["name"] for check in both["verdict"]["checks"] if check["outcome"] == "fail"] == ["measured"]
    passes(tool("get", f"{BASE}/small", *policy(both["policy"]), *TRUST))


def test_nothing_is_guessed_without_the_test_roots():
    fails(4, done=tool("measure", BASE, *CA, *SOURCES))


def test_a_server_without_evidence():

    done = fails(4, done=tool("measure", f"https://localhost:{PEERS['TLS']}", *TRUST, *SOURCES))
    assert done.stdout == b""


def test_an_untrusted_certificate():
    fails(3, "localhost", done=tool("measure", BASE, *ROOTS, *SOURCES))


def test_a_closed_port():
    fails(2, done=tool("measure", "https://localhost:1", *TRUST, *SOURCES))


def test_collateral_that_cannot_be_had():
    fails(4, "127.0.0.1:1", done=tool("measure", BASE, *TRUST, "--source", "http://127.0.0.1:1"))


def test_a_source_that_is_no_url():
    fails(1, "sources[0]", done=tool("measure", BASE, *TRUST, "--source", "gopher://x\"\n"))


@pytest.mark.parametrize("where", ["folder", "missing/draft.json"])
def test_a_draft_that_cannot_be_written(where, tmp_path):
    (tmp_path / "folder").mkdir()
    fails(2, str(tmp_path / where), done=tool("measure", BASE, *TRUST, *SOURCES, "-o", tmp_path / where))


def test_evil_server_gets_no_draft():

    done = tool("measure", f"https://localhost:{PORTS['EVIL']}", *TRUST, *SOURCES)
    assert done.returncode == 4, text(done)
    assert done.stdout == b""


def test_stored_evidence(tmp_path, policy):
    bundle = ["--collateral", SIM / "collateral.json"]
    from_file = ["measure", "--from", SIM / "quote.bin", "--format", "quote", "--event-log", SIM / "log.json"]
    path = tmp_path / "draft.json"
    done = passes(tool(*from_file, *bundle, *ROOTS, "-o", path))
    assert "bound to this session    no" in done.stdout.decode()
    assert "it says nothing about who sent it" in text(done)
    draft = json.loads(path.read_text())
    verify = ["verify", SIM / "quote.bin", "--format", "quote", "--event-log", SIM / "log.json", *bundle, *ROOTS]
    assert b"trusted: tdx" in passes(tool(*verify, *policy(draft))).stdout
    assert change(draft)
    fails(4, "not trusted: MEASUREMENT_MISMATCH", done=tool(*verify, *policy(draft)))




def test_a_status_that_the_draft_accepts_is_named(tmp_path):
    """The platform of the same evidence, as the vendor judges it later."""
    stored = ["measure", "--from", SIM / "quote.bin", "--format", "quote", "--event-log", SIM / "log.json", *ROOTS]
    path = tmp_path / "draft.json"
    done = passes(tool(*stored, "--collateral", SIM / "outdated-collateral.json", "-o", path))
    assert "warning: the platform is OutOfDate: INTEL-SA-00837; the draft accepts that" in text(done)
    assert json.loads(path.read_text())["allowed_tcb_status"] == ["OutOfDate"]
    assert "the platform is" not in text(passes(tool(*stored, "--collateral", SIM / "collateral.json", "-o", path)))
    path.unlink()
    done = fails(4, "TCB status is invalid: Revoked", done=tool(*stored, "--collateral", SIM / "revoked-collateral.json", "-o", path))
    assert done.stdout == b"" and not path.exists()


@pytest.mark.skipif(bool(WRAP), reason="bound to time")
def test_max_time():
    """It covers the connection, and the vendor's documents."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nobody = f"localhost:{silent.getsockname()[1]}"
        for words in ([f"https://{nobody}", *SOURCES], [BASE, "--source", f"http://{nobody}", "--amd-source", f"http://{nobody}"]):
            begun = time.monotonic()
            done = fails(2, done=tool("measure", *words, *TRUST, "--max-time", "1.5", timeout=60))
            assert done.stdout == b"" and 1 < time.monotonic() - begun < 10


def test_the_page_about_the_simulator(tmp_path):
    """Its lines, word by word, and the change that it names."""
    page = (ROOT / "docs/development.md").read_text()
    block = page.split("## With the command")[1].split("```sh\n")[1].split("```")[0]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/atls").symlink_to(TOOL)
    env = environment(
        {
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "ATLS_ROOT_PEM": str(SIM / "web-ca.pem"),
            "ATLS_SIMULATED_ROOT": str(SIM / "root.der"),
            "ATLS_SIM_URL": BASE,
            "ATLS_SIM_COLLATERAL": PCCS,
        }
    )
    run = lambda lines: subprocess.run(["sh", "-ec", lines], cwd=tmp_path, env=env, capture_output=True, timeout=120)
    done = passes(run(block))
    assert b"data: " in done.stdout
    policy = pathlib.Path(tmp_path / "policy.json")
    draft = json.loads(policy.read_text())
    assert change(draft)
    policy.write_text(json.dumps(draft))
    again = "\n".join(line for line in block.splitlines() if not line.startswith("atls measure"))
    fails(4, "NOT TRUSTED", done=run(again))
