"""Clients of others against the example server: tornado, httpx, aiohttp.

usage: clients.py PLAIN_PORT TLS_PORT CA.pem
"""

import asyncio
import ssl
import sys

import aiohttp
import httpx
import tornado.httpclient

SIZE = 3_000_000
LINES = "".join(f"{number} to go\n" for number in range(100_000, 0, -1)).encode()


def check(name, status, body, wanted):
    if status != 200 or body != wanted:
        sys.exit(f"{name}: status {status}, {len(body)} bytes: {body[:80]!r}, wanted {wanted[:80]!r}")


async def pieces():
    for _ in range(30):
        yield b"x" * (SIZE // 30)


def with_httpx(base, context):
    with httpx.Client(verify=context) as client:
        for _ in range(3):
            answer = client.get(f"{base}/")
            check("httpx", answer.status_code, answer.content, b"hello\n")
        answer = client.get(f"{base}/lines")
        check("httpx lines", answer.status_code, answer.content, LINES)
        answer = client.post(f"{base}/up", content=(b"x" * 100_000 for _ in range(30)), headers={"Expect": "100-continue"})
        check("httpx upload", answer.status_code, answer.content, f"{SIZE} bytes\n".encode())


async def with_aiohttp(base, context):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        async def get():
            async with session.get(f"{base}/") as answer:
                check("aiohttp", answer.status, await answer.read(), b"hello\n")

        await asyncio.gather(*(get() for _ in range(50)))
        async with session.get(f"{base}/lines") as answer:
            check("aiohttp lines", answer.status, await answer.read(), LINES)
        async with session.post(f"{base}/up", data=pieces(), expect100=True) as answer:
            check("aiohttp upload", answer.status, await answer.read(), f"{SIZE} bytes\n".encode())


async def with_tornado(base, context):
    client = tornado.httpclient.AsyncHTTPClient()
    options = {"ssl_options": context} if base.startswith("https") else {}
    for _ in range(3):
        answer = await client.fetch(f"{base}/", **options)
        check("tornado", answer.code, answer.body, b"hello\n")
    answer = await client.fetch(f"{base}/lines", **options)
    check("tornado lines", answer.code, answer.body, LINES)

    async def produce(write):
        async for piece in pieces():
            await write(piece)

    answer = await client.fetch(f"{base}/up", method="POST", body_producer=produce, expect_100_continue=True, **options)
    check("tornado upload", answer.code, answer.body, f"{SIZE} bytes\n".encode())


def main():
    context = ssl.create_default_context(cafile=sys.argv[3])
    for base in (f"http://127.0.0.1:{sys.argv[1]}", f"https://localhost:{sys.argv[2]}"):
        with_httpx(base, context)
        asyncio.run(with_aiohttp(base, context))
        asyncio.run(with_tornado(base, context))
        print(f"httpx, aiohttp and tornado: {base.split(':')[0]}")


main()
