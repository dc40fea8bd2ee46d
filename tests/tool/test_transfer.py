"""atls get and atls post: what arrives, where it goes, and all that can be wrong."""

import hashlib
import json
import os
import socket
import subprocess
import threading
import time

import pytest
from calling import BASE, CA, PEERS, POLICY, PORTS, ROOTS, SIM, SOURCES, TRUST, WRAP, fails, passes, spawn, text, tool

GET = ["get", *POLICY, *TRUST]
POST = ["post", *POLICY, *TRUST]
slow = pytest.mark.skipif(bool(WRAP), reason="bound to time")


# What arrives


def test_get():
    done = passes(tool(*GET, f"{BASE}/small"))
    assert done.stdout == b"x" * 100
    assert text(done).splitlines() == [
        "atls get: warning: --test-root: evidence is judged under roots for tests, and proves nothing about hardware"
    ]


def test_scheme_may_be_left_out():
    assert passes(tool(*GET, f"{BASE.removeprefix('https://')}/small")).stdout == b"x" * 100


def test_head_and_method():
    out = passes(tool(*GET, "-i", "-X", "HEAD", f"{BASE}/small")).stdout
    assert out.startswith(b"HTTP/1.1 200 OK\r\n") and out.endswith(b"\r\n\r\n")
    assert passes(tool(*GET, "-i", f"{BASE}/small")).stdout.endswith(b"\r\n\r\n" + b"x" * 100)


def test_header_fields():
    seen = passes(tool(*GET, "-H", "X-One:  two ", "-H", "X-None;", "-H", "Host: other.example", f"{BASE}/head")).stdout.decode()
    lines = seen.split("\r\n")
    assert "X-One: two" in lines and "X-None: " in lines and "Host: other.example" in lines and "User-Agent: atls" in lines
    for bad in ("no colon", ": x", "X-None; x"):
        fails(1, "--header, number 2: not NAME: VALUE", done=tool(*GET, "-H", "A: b", "-H", bad, f"{BASE}/head"))


@pytest.mark.parametrize("size", [0, 1, 65536, 3_000_000])
def test_post_of_a_file(size, tmp_path):
    path = tmp_path / "body"
    path.write_bytes(os.urandom(size))
    for data, rest in ((f"@{path}", {}), ("@-", {"input": path.read_bytes()})):
        assert passes(tool(*POST, "-d", data, f"{BASE}/echo", **rest)).stdout == path.read_bytes()


def test_stdin_that_is_a_file_is_sent_whole(tmp_path):
    path = tmp_path / "body"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.seek(4)
        os.lseek(file.fileno(), 4, os.SEEK_SET)
        assert passes(tool(*POST, "-d", "@-", f"{BASE}/echo", stdin=file)).stdout == b"456789"


def test_post_of_text():
    assert passes(tool(*POST, "-d", "a=b&c", f"{BASE}/echo")).stdout == b"a=b&c"
    assert b"content-type: application/x-www-form-urlencoded" in passes(tool(*POST, "-d", "a", f"{BASE}/head")).stdout.lower()
    seen = passes(tool(*POST, "-H", "Content-Type: application/json", "-d", "{}", f"{BASE}/head")).stdout.lower()
    assert seen.count(b"content-type:") == 1


def test_redirects():
    port = PORTS["HTTP"]
    assert passes(tool(*GET, "-i", f"{BASE}/redirect?302,/small")).stdout.startswith(b"HTTP/1.1 302 ")
    assert passes(tool(*GET, "-L", "-w", "%{num_redirects}", f"{BASE}/redirect?302,/small")).stdout == b"x" * 100 + b"1"
    # Away from the attested origin: to another name, another port, and out of TLS.
    for away in (f"https://127.0.0.1:{port}/small", f"https://localhost:{PEERS['TLS']}/", f"http://localhost:{port}/small"):
        done = fails(5, done=tool(*GET, "-L", f"{BASE}/redirect?302,{away}"))
        assert done.stdout == b""


def test_a_body_is_sent_again_to_where_a_redirect_leads(tmp_path):
    path = tmp_path / "body"
    path.write_bytes(os.urandom(700_000))
    words = [*POST, "-L", f"{BASE}/redirect?307,/echo"]
    assert passes(tool(*words, "-d", f"@{path}")).stdout == path.read_bytes()
    assert passes(tool(*words, "-d", "text")).stdout == b"text"
    # What came by a pipe is gone: the redirecting response itself is given.
    assert passes(tool(*words, "-d", "@-", input=b"piped")).stdout == b"not here"


def test_it_streams():
    url = f"{BASE}/v1/chat/completions"
    process = spawn(*POST, "-d", "{}", url)
    first = os.read(process.stdout.fileno(), 65536)
    assert first.startswith(b"data: ")
    rest = process.communicate(timeout=60)[0]
    assert process.returncode == 0 and b"[DONE]" in first + rest


def test_large_bodies_do_not_stay_in_memory(tmp_path):
    out = tmp_path / "out"
    size = 20_000_000 if WRAP else 300_000_000
    process = spawn(*GET, "-o", out, f"{BASE}/bytes/{size}")
    peak = 0
    while process.poll() is None:
        with open(f"/proc/{process.pid}/status") as status:
            lines = [line for line in status if line.startswith("VmHWM:")]
        peak = max([peak, *(int(line.split()[1]) for line in lines)])
        time.sleep(0.02)
    assert process.returncode == 0, process.stderr.read()
    process.communicate()
    assert out.stat().st_size == size
    assert WRAP or peak < 100_000, f"{peak} KiB"


def test_write_out():
    format = r"%{http_code} %{size_download} %{size_upload} %{tee_type} %{tcb_status} %{num_redirects} %{url_effective}\n100%%"
    done = passes(tool(*GET, "-o", "/dev/null", "-w", format, f"{BASE}/small"))
    assert done.stdout.decode() == f"200 100 0 tdx UpToDate 0 {BASE}/small\n100%"
    times = "%{time_namelookup} %{time_connect} %{time_appconnect} %{time_attested} %{time_starttransfer} %{time_total}"
    found = [float(word) for word in passes(tool(*GET, "-o", "/dev/null", "-w", times, f"{BASE}/small")).stdout.split()]
    assert found == sorted(found) and found[-1] > 0
    fails(1, "--write-out: '%{none}' is not known", done=tool(*GET, "-w", "%{none}", f"{BASE}/small"))
    fails(1, "--write-out: '%{http_code", done=tool(*GET, "-w", "%{http_code", f"{BASE}/small"))


def test_verbose_shows_the_verdict_and_no_secret(tmp_path):
    path = tmp_path / "verdict.json"
    done = passes(tool(*GET, "-v", "--verdict", path, "-H", "Authorization: Bearer hush", f"{BASE}/small"))
    said = text(done)
    assert "trusted: tdx, TCB UpToDate, trust anchor simulated" in said and "< HTTP/1.1 200 OK" in said
    assert "> GET /small" in said and "hush" not in said
    verdict = json.loads(path.read_text())
    assert verdict["trusted"] and verdict["bound_to_session"]


def test_fail(tmp_path):
    assert passes(tool(*GET, f"{BASE}/missing")).stdout == b"no such thing"
    done = fails(22, "localhost answered 404", done=tool(*GET, "-f", "-o", tmp_path / "out", f"{BASE}/missing"))
    assert done.stdout == b"" and os.listdir(tmp_path) == []


# Nobody gets anything without a verdict


def test_a_policy_is_needed():
    done = fails(1, "--policy FILE is missing", "atls measure URL", done=tool("get", *TRUST, f"{BASE}/small"))
    assert done.stdout == b""


def test_a_server_that_is_refused_gets_nothing(tmp_path):
    verdict, out = tmp_path / "verdict.json", tmp_path / "out"
    wrong = ["--policy", SIM / "wrong-policy.json"]
    done = tool("post", *wrong, *TRUST, "-d", "secret", "--verdict", verdict, "-o", out, f"{BASE}/echo")
    fails(4, "FAIL", "expected", "NOT TRUSTED", done=done)
    assert json.loads(verdict.read_text())["trusted"] is False
    assert os.listdir(tmp_path) == ["verdict.json"]


def test_a_server_that_lies():
    fails(4, done=tool(*GET, f"https://localhost:{PORTS['EVIL']}/small"))


def test_a_server_without_evidence():
    fails(4, done=tool(*GET, f"https://localhost:{PEERS['TLS']}/"))


def test_simulated_roots_need_both_consents(policy):
    document = json.loads((SIM / "policy.json").read_text())
    fails(4, done=tool("get", *POLICY, *CA, f"{BASE}/small"))
    del document["allow_simulated"]
    fails(4, "allow_simulated", done=tool("get", *policy(document), *TRUST, f"{BASE}/small"))


@pytest.mark.parametrize("root, says", [("intel", "not VENDOR=FILE"), ("acme=/dev/null", "acme"), ("amd=/none", "/none: No such file")])
def test_roots_that_are_none(root, says):
    done = tool("get", *POLICY, *CA, "--test-root", root, f"{BASE}/small")
    assert done.returncode in (1, 2) and says in text(done), text(done)


def test_only_the_target_is_contacted():
    """Nothing is sent to a server that does not prove itself, not even in TLS, and nothing follows another way."""
    listener = socket.create_server(("127.0.0.1", 0))
    got = []

    def serve():
        conn, _ = listener.accept()
        got.append(conn.recv(65536))
        conn.close()

    thread = threading.Thread(target=serve)
    thread.start()
    done = tool("post", *POLICY, *TRUST, "-d", "SECRET", f"https://localhost:{listener.getsockname()[1]}/SECRET")
    thread.join()
    assert done.returncode in (2, 3) and b"SECRET" not in b"".join(got), text(done)


# Routes


def test_connect_to():
    port = PORTS["HTTP"]
    for mapping in (f"localhost:9:127.0.0.1:{port}", f"::127.0.0.1:{port}", f"::[::ffff:127.0.0.1]:{port}", f"localhost::127.0.0.1:{port}"):
        passes(tool(*GET, "--connect-to", mapping, "https://localhost:9/small"))
    for bad in ("a", "a:1:b", "a:1:b:2:c", "a:x:b:2", "[a:1:b:2"):
        fails(1, f"--connect-to: '{bad}'", done=tool(*GET, "--connect-to", bad, f"{BASE}/small"))


def test_proxies():
    http, socks = f"http://user:password@127.0.0.1:{PEERS['PROXY']}", f"socks5h://user:password@127.0.0.1:{PEERS['SOCKS']}"
    for proxy in (http, socks, http.removeprefix("http://"), http.replace("word", "%77ord")):
        passes(tool(*GET, "-x", proxy, f"{BASE}/small"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        passes(tool(*GET, f"{BASE}/small", env={name: http}))
    dead = "http://127.0.0.1:1"
    fails(2, done=tool(*GET, f"{BASE}/small", env={"HTTPS_PROXY": dead}))
    passes(tool(*GET, "-x", "", f"{BASE}/small", env={"HTTPS_PROXY": dead}))
    passes(tool(*GET, "-x", http, f"{BASE}/small", env={"HTTPS_PROXY": dead}))
    passes(tool(*GET, f"{BASE}/small", env={"https_proxy": http, "HTTPS_PROXY": dead}))
    done = fails(1, "HTTPS_PROXY", done=tool(*GET, f"{BASE}/small", env={"HTTPS_PROXY": "gopher://x:1"}))
    assert done.stdout == b""


def test_no_proxy(tmp_path, policy):
    """The target goes around the proxy; collateral, which is at hand here, is not asked for."""
    document = json.loads((SIM / "policy.json").read_text())
    document["collateral"] = {"offline": True}
    bundle_file = tmp_path / "bundle.json"
    passes(tool("collateral", "fetch", BASE, *TRUST, *SOURCES, "-o", bundle_file))
    words = ["get", *policy(document), *TRUST, "--collateral", bundle_file, f"{BASE}/small"]
    env = {"HTTPS_PROXY": "http://127.0.0.1:1"}
    for skip in ("*", "localhost", "example.com, LOCALHOST ", "example.com,.localhost"):
        passes(tool(*words, env=env | {"NO_PROXY": skip}))
        passes(tool(*words, env=env | {"no_proxy": skip, "NO_PROXY": "nothing"}))
    for skip in ("", "host", "xlocalhost", "localhost.example", ","):
        fails(2, done=tool(*words, env=env | {"NO_PROXY": skip}))


def test_roots_of_the_environment(tmp_path):
    words = ["get", *POLICY, *ROOTS, f"{BASE}/small"]
    passes(tool(*words, env={"SSL_CERT_FILE": str(SIM / "web-ca.pem")}))
    fails(3, done=tool(*words))
    fails(2, "/none: No such file", done=tool(*words, env={"SSL_CERT_FILE": "/none"}))
    empty = tmp_path / "empty"
    empty.write_text("nothing")
    fails(1, "no certificate in PEM", done=tool(*words, "--cacert", empty))
    # --cacert counts before it, and in place of the built-in ones.
    passes(tool(*words, *CA, env={"SSL_CERT_FILE": str(empty)}))
    fails(3, done=tool(*words, "--cacert", SIM / "peer.pem"))


# Time


@slow
def test_max_time():
    begun = time.monotonic()
    fails(2, done=tool(*GET, "--max-time", "1.5", f"{BASE}/hang"))
    fails(2, "--max-time is over", done=tool(*POST, "-m1", "-d", "@-", f"{BASE}/echo", stdin=spawn_quiet().stdout))
    silent = socket.create_server(("127.0.0.1", 0))
    fails(2, done=tool(*GET, "-m", "1", f"https://localhost:{silent.getsockname()[1]}/"))
    assert 3 < time.monotonic() - begun < 20


QUIET = []


def spawn_quiet():
    """Something that never says anything."""
    process = subprocess.Popen(["sleep", "30"], stdout=subprocess.PIPE)
    QUIET.append(process)
    return process


@pytest.fixture(autouse=True, scope="module")
def end_quiet():
    yield
    for process in QUIET:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_hash_of_all_that_came(tmp_path):
    data = os.urandom(5_000_000)
    path = tmp_path / "data"
    path.write_bytes(data)
    done = passes(tool(*POST, "-d", f"@{path}", f"{BASE}/echo"))
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()
