"""Clients of others through `atls proxy`: they know nothing of attestation, and get an attested answer, or a clear refusal, as they are."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys

import aiohttp
import httpx
import openai
import pytest
import requests

from proxying import Upstream, proxy, read_body, respond, serve, sim_port

WORDS = ["attested", " ", "tokens", " for ", "\u00e9\u4e2d\U0001f600", "\n"]


def completions(handler):
    """A simulated model with OpenAI's interface."""
    asked = json.loads(read_body(handler))
    if handler.headers.get("Authorization") != "Bearer sk-test":
        return respond(handler, 401, b'{"error":{"message":"no such key"}}', [("Content-Type", "application/json")])
    common = {"id": "c1", "created": 1, "model": asked["model"]}
    if not asked.get("stream"):
        message = {"role": "assistant", "content": "".join(WORDS)}
        whole = {**common, "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
        return respond(handler, body=json.dumps(whole).encode(), fields=[("Content-Type", "application/json")])
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for word in WORDS:
        part = {**common, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}
        event = f"data: {json.dumps(part)}\n\n".encode()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
    handler.wfile.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")


BODY = os.urandom(700_000)
DIGEST = hashlib.sha256(BODY).hexdigest()


def digest(handler):
    respond(handler, body=hashlib.sha256(read_body(handler)).hexdigest().encode())


@pytest.fixture(scope="module")
def it():
    with Upstream({"/v1/chat/completions": completions, "/digest": digest}) as upstream, serve(upstream.port, "-q") as target:
        with proxy(target.port) as it:
            it.url = f"http://127.0.0.1:{it.port}"
            yield it


@pytest.fixture(scope="module")
def refusing():
    with proxy(sim_port("HTTP"), policy="wrong-policy.json") as it:
        it.url = f"http://127.0.0.1:{it.port}"
        yield it


ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_openai(it):
    client = openai.OpenAI(base_url=it.url + "/v1", api_key="sk-test")
    assert client.chat.completions.create(**ASKED).choices[0].message.content == "".join(WORDS)
    assert [part.choices[0].delta.content for part in client.chat.completions.create(**ASKED, stream=True)] == WORDS
    with pytest.raises(openai.AuthenticationError, match="no such key"):
        openai.OpenAI(base_url=it.url + "/v1", api_key="sk-other").chat.completions.create(**ASKED)


def test_openai_by_its_environment(it):
    """The recipe of docs/proxy.md: no line of code is changed."""
    code = "import openai; print(openai.OpenAI().chat.completions.create(model='m', messages=[]).choices[0].message.content)"
    env = {**os.environ, "OPENAI_BASE_URL": it.url + "/v1", "OPENAI_API_KEY": "sk-test", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, timeout=60)
    assert done.stdout.decode() == "".join(WORDS) + "\n", done.stderr


def test_openai_says_which_check_failed(refusing):
    client = openai.OpenAI(base_url=refusing.url + "/v1", api_key="sk-test", max_retries=0)
    with pytest.raises(openai.InternalServerError, match="attestation refused: bootchain") as caught:
        client.chat.completions.create(**ASKED)
    assert caught.value.status_code == 502 and caught.value.body["code"] == "MEASUREMENT_MISMATCH"


def test_openai_async(it):
    async def run():
        async with openai.AsyncOpenAI(base_url=it.url + "/v1", api_key="sk-test") as client:
            streams = [client.chat.completions.create(**ASKED, stream=True) for _ in range(20)]
            return [[part.choices[0].delta.content async for part in await stream] for stream in streams]

    assert asyncio.run(run()) == [WORDS] * 20


def test_requests(it, refusing):
    with requests.Session() as session:
        assert session.post(it.url + "/digest", data=BODY).text == DIGEST
        assert session.post(it.url + "/digest", data=iter([BODY[:1000], BODY[1000:]])).text == DIGEST
        with session.post(it.url + "/echo", data=BODY, stream=True) as answer:
            assert b"".join(answer.iter_content(10_000)) == BODY
    refused = requests.get(refusing.url + "/x")
    assert refused.status_code == 502 and refused.json()["check"] == "bootchain"


def test_httpx(it):
    with httpx.Client(base_url=it.url) as client:
        assert client.post("/digest", content=BODY).text == DIGEST
        with client.stream("POST", "/echo", content=iter([BODY[:7], BODY[7:]])) as answer:
            assert b"".join(answer.iter_bytes()) == BODY

    async def run():
        async with httpx.AsyncClient(base_url=it.url) as client:
            return [answer.text for answer in await asyncio.gather(*(client.post("/digest", content=BODY) for _ in range(20)))]

    assert asyncio.run(run()) == [DIGEST] * 20


def test_aiohttp(it):
    async def run():
        async with aiohttp.ClientSession() as session:
            async with session.post(it.url + "/echo", data=BODY, expect100=True) as answer:
                return await answer.read()

    assert asyncio.run(run()) == BODY


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_curl(it, tmp_path):
    (tmp_path / "body").write_bytes(BODY * 3)  # beyond a megabyte curl waits to be asked for it
    for way in ([], ["-H", "Transfer-Encoding: chunked"]):
        line = ["curl", "-sS", "--fail", *way, "--data-binary", f"@{tmp_path / 'body'}", it.url + "/digest"]
        assert subprocess.run(line, capture_output=True, timeout=60).stdout.decode() == hashlib.sha256(BODY * 3).hexdigest()
    line = ["curl", "-sSN", "--http2", it.url + "/echo", "-d", "x"]  # asks for an upgrade that nobody need grant
    assert subprocess.run(line, capture_output=True, timeout=60).stdout == b"x"


NODE = """
const [url, body] = [process.argv[2], Buffer.alloc(700000, 'node')];
const sent = await (await fetch(url + '/echo', {method: 'POST', body})).arrayBuffer();
if (Buffer.compare(Buffer.from(sent), body)) throw new Error('other bytes');
const asked = JSON.stringify({model: 'm', stream: true, messages: []});
const answer = await fetch(url + '/v1/chat/completions', {method: 'POST', headers: {authorization: 'Bearer sk-test'}, body: asked});
let text = '';
for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) text += piece;
process.stdout.write(text.split('\\n\\n').filter(line => line.startsWith('data: {')).map(line => JSON.parse(line.slice(6)).choices[0].delta.content).join(''));
"""


@pytest.mark.skipif(not shutil.which("node"), reason="no Node")
def test_node(it, tmp_path):
    (tmp_path / "client.mjs").write_text(NODE)
    done = subprocess.run(["node", tmp_path / "client.mjs", it.url], capture_output=True, timeout=60)
    assert done.stdout.decode() == "".join(WORDS), done.stderr.decode()
