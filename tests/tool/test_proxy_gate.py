"""Who may use `atls proxy`, and where it listens."""

import json
import subprocess

import pytest

from proxying import ROOTS, SIM, TOOL, Upstream, ask, get, proxy, respond, serve


@pytest.fixture(scope="module")
def upstream():
    with Upstream({"/seen": lambda handler: respond(handler, body=str(handler.headers).encode())}) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def target(upstream):
    with serve(upstream.port, "-q") as target:
        yield target


@pytest.fixture(scope="module")
def open_proxy(target):
    with proxy(target.port, "--allow-host", "box.example", "--allow-origin", "http://localhost:3000") as it:
        yield it


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "[::1]:{}", "LOCALHOST:{}", "box.example:{}", "box.example", "localhost:1"])
def test_own_names_are_served(open_proxy, host):
    assert get(open_proxy.port, host=host.format(open_proxy.port))[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{}", "localhost.evil.example:{}", "127.0.0.1.evil.example", "10.0.0.1:{}", "localhost@evil", "[::1", ""])
def test_other_names_may_be_rebound_and_are_refused(open_proxy, upstream, host):
    before = len(upstream.requests)
    status, answer = get(open_proxy.port, host=host.format(open_proxy.port))
    # What is not even a Host is refused by the server itself.
    assert status == 400 or (status == 403 and b"HOST_REFUSED" in answer), answer
    assert len(upstream.requests) == before


def test_the_authority_of_an_absolute_target_counts(open_proxy):
    assert get(open_proxy.port, path="http://evil.example/echo")[0] == 403
    assert get(open_proxy.port, path=f"http://localhost:{open_proxy.port}/echo", host="evil.example")[0] == 200
    # An HTTP/1.0 request that names no host says nothing that could be checked.
    assert get(open_proxy.port, version="1.0", host="")[0] in (400, 403)


@pytest.mark.parametrize("fields", [
    "Origin: https://evil.example\r\n", "Origin: null\r\n", "Origin: http://localhost:3001\r\n", "Origin: http://127.0.0.1\r\n",
    "Origin: http://localhost:3000\r\nOrigin: https://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n",
    "Origin: \r\n",
])
def test_pages_of_other_origins_are_refused(open_proxy, upstream, fields):
    before = len(upstream.requests)
    status, answer = get(open_proxy.port, fields=fields)
    assert status == 403 and b"ORIGIN_REFUSED" in answer
    assert len(upstream.requests) == before


def test_a_refusal_is_json_whatever_the_client_has_sent(open_proxy):
    text = f"GET / HTTP/1.1\r\nHost: localhost:{open_proxy.port}\r\nConnection: close\r\nOrigin: \"\\".encode() + b"\xff\xc3\t\r\n\r\n"
    body = ask(open_proxy.port, text).split(b"\r\n\r\n", 1)[1]
    assert json.loads(body.decode("utf-8"))["status"] == "ORIGIN_REFUSED"


@pytest.mark.parametrize("fields", ["Origin: http://127.0.0.1:{}\r\n", "Origin: http://localhost:3000\r\nSec-Fetch-Site: cross-site\r\n",
                                    "Sec-Fetch-Site: same-origin\r\n", "Sec-Fetch-Site: none\r\n"])
def test_own_pages_and_allowed_ones_are_served(open_proxy, fields):
    assert get(open_proxy.port, fields=fields.format(open_proxy.port))[0] == 200


TOKEN = "0123456789abcdef-token"


@pytest.fixture(scope="module")
def guarded(target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "token").write_text(TOKEN + "\n")
    (folder / "key").write_text("sk-of-the-target")
    with proxy(target.port, "--token-file", folder / "token", "--target-token-file", folder / "key") as it:
        yield it


@pytest.mark.parametrize("fields", ["", f"Authorization: Bearer {TOKEN}x\r\n", f"Authorization: Bearer {TOKEN[:-1]}\r\n", "Authorization: Bearer \r\n",
                                    "Authorization: Bearer\r\n", f"Authorization: Basic {TOKEN}\r\n", f"Authorization: {TOKEN}\r\n",
                                    f"Authorization: Bearer {TOKEN}{TOKEN}\r\n", f"Proxy-Authorization: Bearer {TOKEN.upper()}\r\n"])
def test_without_the_token_nobody_is_served(guarded, upstream, fields):
    before = len(upstream.requests)
    status, answer = get(guarded.port, fields=fields)
    assert status == 401 and b"TOKEN_REQUIRED" in answer and b"WWW-Authenticate: Bearer" in answer
    assert len(upstream.requests) == before
    assert TOKEN not in guarded.log()


def test_the_token_stays_here_and_the_targets_own_goes_out(guarded):
    for field in ("Authorization", "Proxy-Authorization"):
        status, answer = get(guarded.port, "/seen", fields=f"{field}: Bearer {TOKEN}\r\n")
        assert status == 200 and TOKEN.encode() not in answer
        assert answer.count(b"Authorization: Bearer sk-of-the-target") == 1 and b"Proxy-Auth" not in answer


def test_a_token_for_the_proxy_leaves_the_clients_own_authorization(target, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    with proxy(target.port, "--token-file", tmp_path / "token") as it:
        _, answer = get(it.port, "/seen", fields=f"Proxy-Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer sk-own\r\n")
        assert b"Authorization: Bearer sk-own" in answer and TOKEN.encode() not in answer
        _, answer = get(it.port, "/seen", fields=f"Authorization: Bearer {TOKEN}\r\n")
        assert answer.startswith(b"HTTP/1.1 200") and b"Authorization" not in answer


@pytest.mark.parametrize("fields", [
    "Authorization: Bearer sk-own\r\nAuthorization: Bearer {}\r\nProxy-Authorization: Bearer {}\r\n",
    "Authorization: Bearer {}\r\nAuthorization: Bearer {}\r\n",
    "Authorization: Bearer {}\r\nauthorization: Bearer sk-own\r\n",
    "Proxy-Authorization: Bearer {}\r\nProxy-Authorization: Bearer x\r\n",
])
def test_repeated_authorization_is_refused(target, upstream, tmp_path, fields):
    (tmp_path / "token").write_text(TOKEN)
    with proxy(target.port, "--token-file", tmp_path / "token") as it:
        before = len(upstream.requests)
        status, answer = get(it.port, "/seen", fields=fields.replace("{}", TOKEN))
        assert status == 400 and b"AUTHORIZATION_REPEATED" in answer and len(upstream.requests) == before
        _, answer = get(it.port, "/seen", fields=f"Proxy-Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}, Basic x\r\n")
        assert answer.startswith(b"HTTP/1.1 200") and TOKEN.encode() not in answer


def test_a_token_file_that_is_too_long_is_said_to_be(tmp_path):
    (tmp_path / "token").write_text("x" * 5000)
    done = run(*GOOD, "--token-file", tmp_path / "token")
    assert done.returncode == 2 and "longer than 4 KiB" in done.stderr


def run(*arguments):
    return subprocess.run([TOOL, "proxy", *map(str, arguments)], capture_output=True, text=True, timeout=30)


GOOD = ["--target", "https://localhost:1", "--policy", SIM / "policy.json", *ROOTS]


@pytest.mark.parametrize("arguments, code, words", [
    (["--policy", SIM / "policy.json"], 1, "--target URL is missing"),
    (["--target", "https://localhost:1"], 1, "--policy FILE is missing"),
    (["--target", "http://localhost:1", "--policy", SIM / "policy.json"], 1, "only https:// URLs can be attested"),
    (["--target", "https://localhost:1/v1", "--policy", SIM / "policy.json"], 1, "'https://localhost:1/v1' has a path"),
    (["--target", "https://me:secret@localhost:1", "--policy", SIM / "policy.json"], 1, "--target-token-file"),
    ([*GOOD, "--listen", "0.0.0.0:0"], 1, "--allow-remote and --token-file"),
    ([*GOOD, "--listen", ":0"], 1, "--allow-remote and --token-file"),
    ([*GOOD, "--listen", "0.0.0.0:0", "--allow-remote"], 1, "--allow-remote and --token-file"),
    ([*GOOD, "--listen", "box.example:0"], 1, "can be reached from other machines"),
    ([*GOOD, "--listen", "127.0.0.1"], 1, "'127.0.0.1' is not HOST:PORT"),
    ([*GOOD, "--listen", "127.0.0.1:70000"], 1, "is not HOST:PORT"),
    ([*GOOD, "--token-file", "/nonexistent"], 2, "/nonexistent"),
    ([*GOOD, "--token-file", "/dev/null"], 1, "not one token of at least 16"),
    ([*GOOD, "--policy", SIM / "ports"], 1, "--policy is given twice"),
    ([*GOOD, "--max-age", "0"], 1, "--max-age: '0'"),
])
def test_what_cannot_be_meant_is_refused_with_its_reason(arguments, code, words):
    done = run(*arguments)
    assert done.returncode == code and words in done.stderr, done
    assert "listening" not in done.stdout


def test_a_port_in_use_is_named(open_proxy):
    done = run(*GOOD, "--listen", f"127.0.0.1:{open_proxy.port}")
    assert done.returncode == 2 and str(open_proxy.port) in done.stderr and "--listen" in done.stderr


def test_with_a_token_it_may_listen_elsewhere(target, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    with proxy(target.port, "--token-file", tmp_path / "token", "--allow-remote", listen="0.0.0.0:0") as it:
        token = f"Authorization: Bearer {TOKEN}\r\n"
        assert get(it.port, fields=token)[0] == 200
        assert get(it.port, fields=token, host="192.0.2.7:80")[0] == 200  # an address cannot be rebound
        assert get(it.port, fields=token, host="evil.example")[0] == 403
        status, answer = get(it.port)
        assert status == 401 and json.loads(answer.split(b"\r\n\r\n")[1])["error"]["code"] == "TOKEN_REQUIRED"
