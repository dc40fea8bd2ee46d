"""What a process sees: signals, forks, its end, descriptors and memory. Each in a process of its own where that matters."""

from __future__ import annotations

import ast
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Simulator

import atls

HERE = Path(__file__).parent


def child(lines: str, **options: str) -> subprocess.Popen[str]:
    """A Python that has `sim` and `atls`, and runs these lines."""
    program = f"import sys; sys.path.insert(0, {str(HERE)!r})\nimport atls, conftest, os\nsim = conftest.Simulator()\n" + lines
    return subprocess.Popen([sys.executable, "-X", "dev", "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload, no-any-return]


def ends(process: subprocess.Popen[str]) -> str:
    """Its output; it must end well and without a word on stderr."""
    out, err = process.communicate(timeout=50)
    assert (process.returncode, err) == (0, "")
    return out


WAITS = {
    "connect": "client.get(f'https://localhost:{silent}/', timeout=None)",
    "head": "client.get(sim.url('/hang'), timeout=None)",
    "body": "client.post(sim.url('/v1/chat/completions?pause=50000'), json={}, timeout=None).read()",
    "upload": "client.post(f'https://localhost:{relay.port}/sink', content=bytes(9_000_000), timeout=None)",
}


@pytest.mark.parametrize("wait", list(WAITS))
def test_keyboard_interrupt_in_every_wait(wait: str) -> None:
    lines = f"""
import hostile, socket, time
listener = socket.create_server(("127.0.0.1", 0))
silent = listener.getsockname()[1]
with hostile.Stalling(sim.ports["HTTP"], 500_000) as relay, atls.Client(**sim.settings()) as client:
    print("waiting", flush=True)
    try:
        {WAITS[wait]}
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    assert client.get(sim.url("/small")).read() == b"x" * 100
listener.close()
"""
    process = child(lines)
    assert process.stdout is not None and process.stdout.readline() == "waiting\n"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "interrupted\n"
    ends(process)


def test_an_interrupted_response_is_over(sim: Simulator, client: atls.Client) -> None:
    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with client.post(sim.url("/v1/chat/completions?pause=9000"), json={}) as response:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(KeyboardInterrupt):
                response.read()
            with pytest.raises(atls.Canceled, match="interrupted"):
                response.read()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_fork_gets_a_clear_exception() -> None:
    out = ends(
        child("""
import warnings; warnings.simplefilter("ignore")
client = atls.Client(**sim.settings())
response = client.get(sim.url("/bytes/1000000"))
waits = client.get(sim.url("/bytes/1000000"))
if os.fork() == 0:
    for attempt in (lambda: client.get(sim.url("/small")), response.read, lambda: atls.Client(**sim.settings())):
        try:
            attempt()
            print("no exception")
        except atls.Forked as error:
            print(error.status_name, bool(str(error)))
    try:
        with client, response, waits:
            raise KeyError("its own")
    except KeyError as error:
        print(error, error.__context__)
    del client, response, waits
    sys.stdout.flush()
    os._exit(0)
os.wait()
print(len(response.read()), client.get(sim.url("/small")).status)
""")
    )
    assert out == "FORKED True\n" * 3 + "'its own' None\n1000000 200\n"


@pytest.mark.parametrize("spawned", [True, False])
def test_multiprocessing(spawned: bool, tmp_path: Path) -> None:
    # A process that is started anew works; so does a fork before the library was used.
    program = tmp_path / "program.py"
    program.write_text(f"""
import multiprocessing, sys
sys.path.insert(0, {str(HERE)!r})
import conftest, atls

def work(_):
    sim = conftest.Simulator()
    with atls.Client(**sim.settings()) as client:
        return client.get(sim.url("/small")).status

if __name__ == "__main__":
    if {spawned}:
        work(0)
    with multiprocessing.get_context({"spawn" if spawned else "fork"!r}).Pool(2) as pool:
        print(pool.map(work, range(4)))
""")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "[200, 200, 200, 200]\n")


@pytest.mark.parametrize(
    "lines",
    [
        "client = atls.Client(**sim.settings()); response = client.get(sim.url('/bytes/100000000')); response._exchange.read()",
        "client = atls.Client(**sim.settings())\nimport threading\n"
        "threading.Thread(target=client.get, args=(sim.url('/hang'),), daemon=True).start()\nimport time; time.sleep(0.5)",
        "import asyncio\nclient = atls.AsyncClient(**sim.settings())\nasync def work():\n    global response\n"
        "    response = await client.get(sim.url('/bytes/100000000'))\nasyncio.run(work())",
        "import asyncio\nclient = atls.AsyncClient(**sim.settings())\nasync def work():\n    global response\n"
        "    response = await client.get(sim.url('/bytes/100000000'))\nasyncio.run(work())\nsys.exit()",
    ],
)
def test_the_end_of_the_process_is_quiet(lines: str) -> None:
    assert ends(child(lines)) == ""


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_nothing_leaks(sim: Simulator) -> None:
    """Requests that end in every way: read, abandoned, refused, timed out, canceled."""

    def some(client: atls.Client, wrong: atls.Client, count: int) -> None:
        for number in range(count):
            client.post(sim.url("/echo"), content=bytes(100_000)).read()
            client.get(sim.url("/small"))
            if number % 10 == 0:
                with pytest.raises(atls.MeasurementMismatch):
                    wrong.get(sim.url("/small"))
                with pytest.raises(atls.TimedOut):
                    client.get(sim.url("/hang"), timeout=atls.Timeout(read=0.01))
        gc.collect()

    with atls.Client(**sim.settings()) as client, atls.Client(**sim.settings(policy=sim.wrong_policy)) as wrong:
        some(client, wrong, 100)
        client._live._exchanges.clear()
        before = descriptors(), resident()
        some(client, wrong, 200)
        # Connections that were abandoned close in the background.
        for _ in range(100):
            if descriptors() <= before[0] + 4:
                break
            time.sleep(0.05)
        assert descriptors() <= before[0] + 4
        assert resident() - before[1] < 16 << 20


def test_the_library_is_the_carried_one() -> None:
    from atls import _native

    assert Path(_native.CARRIED).parent == Path(atls.__file__).parent
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libatls" in line}
    assert mapped == {_native.CARRIED}


def test_what_the_package_calls_is_declared_and_exported() -> None:
    """ABI mode looks names up at the first use: a name that is gone would show only then."""
    from atls._native import lib

    names = set()
    for file in Path(atls.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("lib", "_lib"):
                names.add(node.attr)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("ATLS_") and node.value.isupper():
                names.add(node.value)
    assert len(names) > 100
    for name in sorted(names):
        assert getattr(lib, name) is not None, name
