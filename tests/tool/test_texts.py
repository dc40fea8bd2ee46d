"""Help, man pages, completion and the reference page: all made of the same tables."""

import os
import subprocess

import pytest
from calling import ROOT, fails, passes, text, tool

COMMANDS = passes(tool("--commands")).stdout.decode().split()


def screen(data):
    lines = data.decode().splitlines()
    assert len(lines) <= 24, f"{len(lines)} lines"
    for line in lines:
        assert len(line) <= 80, line
    return lines


def test_commands_are_all_there():
    assert set(COMMANDS) >= {"measure", "get", "post", "verify", "collateral", "completion", "proxy", "serve"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_screen(name):
    for words in ([name, "--help"], [name, "-h"], ["help", name]):
        done = passes(tool(*words))
        assert done.stderr == b""
        assert screen(done.stdout)[0].startswith(f"usage: atls {name}")


def test_overview_fits_a_screen():
    for words in (["--help"], ["-h"], ["help"]):
        lines = screen(passes(tool(*words)).stdout)
        for name in COMMANDS:
            assert any(line.startswith(f"  {name} ") for line in lines)
    fails(1, "usage: atls COMMAND", done=tool())
    fails(1, "there is no command 'none'", done=tool("help", "none"))


def test_version():
    assert passes(tool("--version")).stdout.startswith(b"atls 0.")


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_man_pages_have_no_warnings(name, tmp_path):
    page = passes(tool("--man", *([name] if name else []))).stdout
    path = tmp_path / "page.1"
    path.write_bytes(page)
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-Kutf8", "-z", path], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", path], capture_output=True)
    assert not [line for line in done.stdout.decode().splitlines() if "missing date" not in line], done.stdout
    for heading in (b".SH NAME", b".SH SYNOPSIS", b".SH DESCRIPTION", b".SH EXIT STATUS", b".SH ENVIRONMENT", b".SH SEE ALSO"):
        assert heading in page


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_parses(shell):
    script = passes(tool("completion", shell)).stdout
    for name in COMMANDS:
        assert name.encode() in script
    done = subprocess.run([shell, "-n"], input=script, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def complete(*words):
    """What bash offers for the last word."""
    line = f"""source <("$ATLS_TOOL" completion bash)
COMP_WORDS=({' '.join("'" + word + "'" for word in words)}); COMP_CWORD={len(words) - 1}; _atls; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", line], capture_output=True, env=os.environ, check=True)
    return done.stdout.decode().split()


def test_bash_completes_commands_options_and_choices(tmp_path):
    assert complete("atls", "mea") == ["measure"]
    assert complete("atls", "get", "--max") == ["--max-time"]
    assert complete("atls", "completion", "f") == ["fish"]
    assert complete("atls", "verify", "--format", "snp") == ["snp-report"]
    (tmp_path / "policy.json").touch()
    assert complete("atls", "get", "--policy", f"{tmp_path}/pol") == [f"{tmp_path}/policy.json"]
    assert complete("atls", "get", "--policy", f"{tmp_path}/none") == []


OFFERS = [("mea", "measure"), ("get --max-t", "--max-time"), ("completion f", "fish"), ("verify --format snp-", "snp-report")]


@pytest.mark.parametrize("typed, offered", OFFERS)
def test_fish_completes(typed, offered, tmp_path):
    (tmp_path / "atls.fish").write_bytes(passes(tool("completion", "fish")).stdout)
    line = f"source {tmp_path}/atls.fish; complete -C 'atls {typed}'"
    done = subprocess.run(["fish", "--no-config", "-c", line], capture_output=True, check=True, env={**os.environ, "HOME": str(tmp_path)})
    assert [each.split("\t")[0] for each in done.stdout.decode().splitlines()] == [offered] and done.stderr == b""


ZSH = """zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PROMPT=ready; autoload -U compinit; compinit -u -D; source $1; echo load''ed"
zpty -r -m shell seen '*loaded*'
zpty -w -n shell "$2"$'\t'
zpty -r -m shell seen "*$3*"
zpty -d shell
"""


@pytest.mark.parametrize("typed, offered", OFFERS)
def test_zsh_completes(typed, offered, tmp_path):
    """In an interactive shell, which has a key for it: waits until the word is there."""
    script, program = tmp_path / "_atls", tmp_path / "run"
    script.write_bytes(passes(tool("completion", "zsh")).stdout)
    program.write_text(ZSH)
    subprocess.run(["zsh", "-f", program, script, f"atls {typed}", offered], check=True, timeout=120, capture_output=True)


def test_unknown_shell():
    fails(1, "'tcsh' is not a shell that is known", done=tool("completion", "tcsh"))


def test_reference_page_is_current():
    made = passes(tool("--reference")).stdout.decode()
    path = ROOT / "docs/tool.md"
    if os.environ.get("ATLS_WRITE_REFERENCE"):
        path.write_text(made)
    assert path.read_text() == made, "ATLS_WRITE_REFERENCE=1 writes it"


@pytest.mark.parametrize(
    "words, says",
    [
        (["gat"], "there is no command 'gat'"),
        (["get"], "URL is missing"),
        (["get", "a", "b"], "unexpected argument 'b'"),
        (["get", "--polcy", "x"], "unknown option '--polcy'; did you mean --policy?"),
        (["get", "--frobnicate"], "unknown option '--frobnicate'"),
        (["get", "-q"], "unknown option '-q'"),
        (["get", "--max-time", "3x", "u"], "--max-time: '3x' is not a number of seconds"),
        (["get", "--max-time", "0", "u"], "--max-time: '0' is not a number of seconds"),
        (["get", "--max-time", "1e9", "u"], "--max-time: '1e9' is not a number of seconds"),
        (["get", "-m", "-1", "u"], "--max-time: '-1' is not a number of seconds"),
        (["get", "--max-time"], "--max-time needs a value: SECONDS"),
        (["get", "--silent=yes", "u"], "--silent takes no value: 'yes'"),
        (["get", "--policy", "a", "--policy", "b", "u"], "--policy is given twice, as 'a' and 'b'"),
        (["get", "--policy", "", "u"], "--policy: '' is not a file"),
        (["get", "--" + "x" * 100, "u"], "unknown option"),
        (["verify", "--format", "elf", "x"], "--format: 'elf' is not json|quote"),
        (["collateral", "burn"], "'burn' is not fetch, export or import"),
        (["measure"], "URL or --from FILE is missing"),
        (["measure", "--from", "x", "https://a"], "either URL or --from, not both: 'https://a'"),
        (["measure", "--at", "0", "https://a"], "--at is only for --from FILE"),
    ],
)
def test_usage_errors(words, says):
    done = fails(1, says, done=tool(*words))
    assert done.stdout == b""
    assert len(text(done).splitlines()) <= 26


def test_usage_errors_show_the_line_that_helps():
    assert "usage: -m, --max-time SECONDS  Give up after this long" in text(tool("get", "--max-time", "3x", "u"))
    assert "usage: atls get [options] URL\ntry: atls get --help\n" in text(tool("get", "--frobnicate"))


@pytest.mark.parametrize("url", ["http://a", "ftp://a", "https://", "https://a:0", "https://a:99999", "https://[::1", "https://a:8x"])
def test_urls(url):
    done = tool("measure", url)
    assert done.returncode == 1 and url in text(done), text(done)
