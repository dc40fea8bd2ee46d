"""What the tests of `atls get`, `measure` and others share: the program, the simulator's servers, machines of each kind.

Environment: ATLS_TOOL, the program; ATLS_SIM, the simulator's folder; ATLS_PEERS, ports of servers of others; ATLS_EXAMPLES, the folder of the
built examples-c; ATLS_SIMTEE, the simulator's program; ATLS_ROOT, the tree. ATLS_WRAP is put before the program, for valgrind.
"""

import json
import os
import pathlib
import shlex
import subprocess

TOOL = os.environ["ATLS_TOOL"]
SIM = pathlib.Path(os.environ["ATLS_SIM"])
ROOT = pathlib.Path(os.environ["ATLS_ROOT"])
WRAP = shlex.split(os.environ.get("ATLS_WRAP", ""))


def ports(path):
    return dict(line.split("=", 1) for line in pathlib.Path(path).read_text().split())


PORTS = ports(SIM / "ports")
PEERS = ports(os.environ["ATLS_PEERS"])
BASE = f"https://localhost:{PORTS['HTTP']}"
PCCS = f"http://127.0.0.1:{PORTS['PCCS']}"
CA = ["--cacert", str(SIM / "web-ca.pem")]
ROOTS = [
    option
    for vendor, file in [
        ("intel", "root.der"),
        ("amd", "amd-roots.pem"),
        ("aws", "aws-root.pem"),
        ("microsoft", "microsoft-root.pem"),
        ("nvidia", "nvidia-root.pem"),
    ]
    for option in ("--test-root", f"{vendor}={SIM / file}")
]
TRUST = CA + ROOTS
POLICY = ["--policy", str(SIM / "policy.json")]
AMD = json.loads((SIM / "snp-policy.json").read_text())["collateral"]["amd_sources"][0]
SOURCES = ["--source", PCCS, "--amd-source", AMD]


def environment(extra=None):
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy") and name != "SSL_CERT_FILE"}
    return clean | (extra or {})


def command(*args):
    return WRAP + [TOOL] + [str(arg) for arg in args]


def tool(*args, env=None, timeout=120, **rest):
    rest.setdefault("stdin", None if "input" in rest else subprocess.DEVNULL)
    if "input" in rest:
        rest.pop("stdin")
    rest.setdefault("capture_output", "stdout" not in rest and "stderr" not in rest)
    return subprocess.run(command(*args), env=environment(env), timeout=timeout, **rest)


def spawn(*args, **rest):
    rest.setdefault("stdout", subprocess.PIPE)
    rest.setdefault("stderr", subprocess.PIPE)
    rest.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(command(*args), env=environment(), **rest)


def text(done):
    return done.stderr.decode()


def fails(code, *says, done):
    """It ended with this code, and stderr has each of these."""
    assert done.returncode == code, (done.returncode, done.stdout[-300:], text(done))
    for words in says:
        assert words in text(done), (words, text(done))
    return done


def passes(done):
    assert done.returncode == 0, (done.returncode, text(done))
    return done


class Machine:
    """A server on a machine of the simulator's, of a kind."""

    def __init__(self, kind, evil=False):
        examples = pathlib.Path(os.environ["ATLS_EXAMPLES"])
        socket = SIM / ("evil-evidence.sock" if evil else "evidence.sock")
        files = [SIM / "peer.pem", SIM / "peer-key.pem"]
        if kind == "gpu":
            gpus = f"{os.environ['ATLS_SIMTEE']} gpus {SIM / 'gpus.sock'}"
            words = [examples / "gpu_server", "0", *files, gpus, SIM / "agent.sock"]
        else:
            words = [examples / "evidence_source", "0", *files, kind, socket]
        self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = self.process.stdout.readline().decode().strip().rsplit(":", 1)[1]
        self.url = f"https://localhost:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.wait(20)
        self.process.stdout.close()
