"""atls get and atls post: where bodies and header fields come from, that nothing of them is lost, and that secrets stay so."""

import os
import pty
import threading
import time

import pytest
from calling import BASE, POLICY, SIM, TRUST, WRAP, fails, passes, spawn, text, tool
from proxying import Upstream, respond, serve

GET = ["get", *POLICY, *TRUST]
POST = ["post", *POLICY, *TRUST]
POLICY_TEXT = (SIM / "policy.json").read_bytes()
slow = pytest.mark.skipif(bool(WRAP), reason="bound to time")


@pytest.mark.parametrize(
    "words, both",
    [
        (["post", "--policy", "-", "-d", "@-"], "--policy and --data"),
        (["post", "-d@-", "--policy=-"], "--data and --policy"),
        (["post", "--policy", "/dev/stdin", "-d", "@-"], "--policy and --data"),
        (["post", "--policy", "-", "-d", "@/dev/fd/0"], "--policy and --data"),
        (["get", "--policy", "-", "--cacert", "-"], "--policy and --cacert"),
        (["get", "--policy", "-", "--collateral", "-"], "--policy and --collateral"),
        (["get", "--policy", "-", "-H", "@-"], "--policy and --header"),
        (["get", "-H", "@-", "-H", "@-"], "--header and --header"),
        (["get", "--policy", "-", "--test-root", "intel=-"], "--policy and --test-root"),
        (["measure", "--from", "-", "--format", "quote", "--event-log", "-"], "--from and --event-log"),
        (["verify", "--policy", "-", "-"], "--policy and '-'"),
        (["collateral", "--collateral-cache", "x", "import", "-", "-"], "both - and '-'"),
    ],
)
def test_standard_input_is_read_once(words, both):
    url = [f"{BASE}/echo"] if words[0] in ("get", "post") else []
    done = fails(1, "standard input can be read only once", both, done=tool(*words, *url, input=POLICY_TEXT))
    assert done.stdout == b""


def test_standard_input_and_output_are_not_the_same():
    done = passes(tool("get", "--policy", "-", "-o", "-", "--verdict", "-", *TRUST, f"{BASE}/small", input=POLICY_TEXT))
    assert b"x" * 100 in done.stdout
    with (SIM / "policy.json").open("rb") as file:
        # A regular file is read from its beginning by each path.
        done = passes(tool("post", "--policy", "/dev/stdin", "-d", "@/dev/stdin", *TRUST, f"{BASE}/echo", stdin=file))
    assert done.stdout == POLICY_TEXT


def test_a_body_whose_size_nobody_knows(tmp_path):
    with open("/proc/version", "rb") as file:
        version = file.read()
        file.seek(0)
        assert passes(tool(*POST, "-d", "@-", f"{BASE}/echo", stdin=file)).stdout == version
    assert passes(tool(*POST, "-d", "@/proc/version", f"{BASE}/echo")).stdout == version
    empty = tmp_path / "empty"
    empty.touch()
    seen = passes(tool(*POST, "-d", f"@{empty}", f"{BASE}/head")).stdout.lower()
    assert b"content-length: 0" in seen or b"chunked" not in seen


@slow
def test_a_file_that_becomes_longer_is_not_cut_silently(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"x" * 2_000_000)
    over = threading.Event()

    def grow():
        with path.open("ab") as file:
            while not over.is_set():
                file.write(b"more" * 100)
                file.flush()

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        done = tool(*POST, "-d", f"@{path}", f"{BASE}/sink")
    finally:
        over.set()
        thread.join()
    # Unless the server was faster, the length that was announced is not the body's.
    if done.returncode == 0:
        assert f"{path} has become longer: only the first {done.stdout.decode()} bytes were sent" in text(done)
    else:
        fails(1, "Content-Length says", done=done)


def refusing(status):
    def page(handler):
        respond(handler, status, b"no more")
        handler.close_connection = True

    return page


@slow
@pytest.mark.parametrize("status", [413, 401])
def test_an_early_answer_is_seen_while_standard_input_is_idle(status):
    with Upstream({"/refuse": refusing(status)}) as upstream, serve(upstream.port) as it:
        reading, writing = os.pipe()
        os.write(writing, b"the beginning")
        begun = time.monotonic()
        try:
            words = [*POST, "-d", "@-", "-w", "%{http_code}", f"https://localhost:{it.port}/refuse"]
            done = passes(tool(*words, stdin=reading, timeout=30))
        finally:
            os.close(reading)
            os.close(writing)
        assert done.stdout == f"no more{status}".encode() and time.monotonic() - begun < 20
        assert "answered before it had the whole body" in text(done)


def test_fields_of_a_file(tmp_path):
    path = tmp_path / "fields"
    path.write_bytes(b"Authorization: Bearer hush\r\n\nX-Two: 2\nX-None;")
    done = passes(tool(*GET, "-v", "-H", "X-One: 1", "-H", f"@{path}", f"{BASE}/head"))
    lines = done.stdout.decode().split("\r\n")
    assert {"X-One: 1", "Authorization: Bearer hush", "X-Two: 2", "X-None: "} <= set(lines)
    assert "> Authorization: .." in text(done) and "hush" not in text(done)
    seen = passes(tool(*POST, "-H", "@-", "-d", "{}", f"{BASE}/head", input=b"content-type: application/json\n")).stdout.lower()
    assert seen.count(b"content-type:") == 1 and b"content-type: application/json" in seen
    path.write_bytes(b"A: b\nBearer hush\n")
    done = fails(1, f"--header: {path}, line 2: not NAME: VALUE", done=tool(*GET, "-H", f"@{path}", f"{BASE}/head"))
    assert "hush" not in text(done)
    path.write_bytes(b"A: b\0c\n")
    fails(1, f"--header: {path}: not text", done=tool(*GET, "-H", f"@{path}", f"{BASE}/head"))
    path.write_bytes(b"x" * 2_000_000)
    fails(2, f"{path}: longer than 1 MiB", done=tool(*GET, "-H", f"@{path}", f"{BASE}/head"))
    fails(2, "/none: No such file", done=tool(*GET, "-H", "@/none", f"{BASE}/head"))


@pytest.mark.parametrize(
    "words",
    [
        ["-H", "Authorization Bearer hush"],
        ["-H", "Authorization Bearer hush: x"],
        ["-H", "X: hush\r\nY: z"],
        ["-H", "hush"],
        ["--proxy", "http://u:hush@a:1", "--proxy", "http://u:hush@b:1"],
        ["--proxy", "gopher://u:hush@a:1"],
        ["--proxy", "http://u:hush@a:x"],
        ["--proxy", "u:hush://x@a:x"],
        ["-d", "hush", "-d", "hush"],
    ],
)
def test_no_message_has_a_secret(words):
    done = tool(*POST, *words, f"{BASE}/head")
    option = {"-H": "--header", "-d": "--data"}.get(words[-2], words[-2])
    assert done.returncode in (1, 5) and option in text(done) and "hush" not in text(done), text(done)
    assert done.stdout == b""


@pytest.mark.parametrize(
    "words, says",
    [
        ([*GET, "http://me:hush@a.example/"], "only https:// URLs"),
        ([*GET, "ftp://me:hush@a.example/x@y"], "only https:// URLs"),
        ([*GET, "https://me:hush@"], "no usable host"),
        ([*GET, "https://me:hush@a.example:x/"], "no usable port"),
        ([*GET, "https://me:hu/hush@a.example/"], "no usable"),
        ([*GET, "https://me:hu#hush@a.example/"], "no usable"),
        ([*GET, "https://me:hu hush@a.example:0/"], "no usable port"),
        ([*GET, "https://hush@a.example:0/"], "no usable port"),
        ([*GET, "me:hush@a.example:0"], "no usable port"),
        ([*GET, "https://me:a hush@a b.example/"], "a b.example"),
        ([*GET, "https://me%FF:hush@localhost/"], "the user in URL \"https://localhost/\" is not UTF-8"),
        ([*GET, "https://me:hush\x7f@localhost/"], "a control character"),
        ([*GET, f"{BASE}/small", "https://me:hush@a.example/"], "unexpected argument"),
        ([*GET, "--https://me:hush@a.example/", BASE], "unknown option"),
        ([*GET, "--fail=https://me:hush@a.example/", BASE], "takes no value"),
        (["https://me:hush@a.example/"], "there is no command"),
        (["measure", "--from", "x", "https://me:hush@a.example/"], "not both"),
        (["collateral", "https://me:hush@a.example/"], "is not fetch"),
        (["collateral", "export", "https://me:hush@a.example/"], "unexpected argument"),
        (["proxy", "--target", "https://me:hush@a.example/x", *POLICY], "--target-token-file"),
        (["proxy", "--target", "https://me:hush@a.example", "--target", "https://me:hush@b.example", *POLICY], "given twice"),
        (["proxy", "--target", "https://a.example", "--listen", "http://me:hush@a.example", *POLICY], "HOST:PORT"),
        (["serve", "--upstream", "http://me:hush@127.0.0.1", "--agent", "/none"], "--upstream"),
        ([*GET, "https://me:hush@localhost:1/"], "localhost"),
        ([*GET, "-v", "https://me:hush@localhost:1/"], "localhost"),
    ],
)
def test_nor_has_one_about_a_url(words, says):
    done = tool(*words)
    assert done.returncode in (1, 2) and says in text(done) and "hush" not in text(done), text(done)
    assert done.stdout == b""


def test_a_url_without_a_password_is_shown_whole():
    fails(1, "'http://a.example/x@y': only https", done=tool(*GET, "http://a.example/x@y"))
    fails(1, "unexpected argument 'a@b'", done=tool(*GET, BASE, "a@b"))


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_nor_has_one_about_a_proxy_of_the_environment(variable):
    done = tool(*GET, f"{BASE}/small", env={variable: "gopher://u:hush@a:1"})
    assert done.returncode == 1 and variable in text(done) and "hush" not in text(done), text(done)


def odd(handler):
    handler.send_response(200, b"x".decode())
    handler.send_header("Content-Type", "a/b\x9bc\xc2\x85d\xe9")  # as bytes: C1 control characters, raw and in UTF-8, and Latin-1
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def test_a_terminal_gets_no_control_characters_of_the_server():
    with Upstream({"/odd": odd}) as upstream, serve(upstream.port) as it:
        words = [*GET, "-v", "-w", "%{content_type}", f"https://localhost:{it.port}/odd"]
        done = passes(tool(*words))
        # For a program it is as it came.
        assert done.stdout == b"a/b\x9bc\xc2\x85d\xe9"
        assert b"a/b?c?d?" in done.stderr
        main, other = pty.openpty()
        process = spawn(*words, stdout=other)
        assert process.wait(60) == 0
        process.stderr.close()
        os.close(other)
        assert os.read(main, 4096) == b"a/b?c?d?"
        os.close(main)


@pytest.mark.parametrize("data, says", [("@/none", "/none: No such file"), ("@/", "/: Is a directory")])
def test_bodies_that_cannot_be_read(data, says):
    fails(2, says, done=tool(*POST, "-d", data, f"{BASE}/echo"))
