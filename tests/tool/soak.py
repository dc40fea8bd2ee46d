"""soak.py SECONDS [CLIENTS]: streaming clients on `atls proxy`, whose target is `atls serve` before an upstream that is killed and comes back, as
`atls serve` itself does. Every byte of every response is compared by its hash, memory and descriptors are watched. Prints figures; fails if a
response is wrong, if one that was cut looks complete, if a refusal is not clear, if the service does not recover, or if memory grows."""

import asyncio
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

from proxying import proxy, serve

SILENCE = 240  # seconds for one response, on a machine that has other work
GROWTH = 8192  # KiB by which the most of the last quarter may exceed the most of the first
SAMPLES = 20


def pieces_of(seed):
    """What the upstream streams for a seed: tokens, sometimes large blocks."""
    source = random.Random(seed)
    for _ in range(source.randrange(1, 60)):
        large = source.random() < 0.05
        yield source.randbytes(source.randrange(60_000, 200_000) if large else source.randrange(1, 400))


async def read_message(reader):
    """The head and the body. Fails if either ends early."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").lower()
    if "transfer-encoding: chunked" in head:
        body = bytearray()
        while size := int((await reader.readuntil(b"\r\n")), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return head, bytes(body)
    length = int(head.split("content-length: ", 1)[1].split("\r\n", 1)[0]) if "content-length: " in head else 0
    return head, await reader.readexactly(length)


async def answer(reader, writer):
    """One connection of the upstream: the response begins with the hash of the request's body."""
    try:
        while True:
            head, body = await read_message(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in [hashlib.sha256(body).hexdigest().encode(), *pieces_of(int(head.split("/", 2)[1].split()[0]))]:
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
                await asyncio.sleep(random.random() * 0.02)
            writer.write(b"0\r\n\r\n")
    except (OSError, EOFError):
        writer.close()


async def upstream(port):
    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=256, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def start_upstream(port=0):
    process = subprocess.Popen([sys.executable, __file__, "upstream", str(port)], stdout=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


class Count:
    def __init__(self):
        self.whole = self.bytes = self.cut = self.unavailable = 0
        self.last_whole = 0.0
        self.faults = []


async def client(number, port, until, count):
    source = random.Random(number)
    connection = None
    while time.monotonic() < until:
        seed, body = source.randrange(1 << 30), source.randbytes(source.choice([0, 100, 5_000, 150_000]))
        try:
            connection = connection or await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
            reader, writer = connection
            head = f"POST /{seed} HTTP/1.1\r\nHost: localhost:{port}\r\n"
            head += f"Content-Length: {len(body)}\r\n\r\n" if number % 2 else "Transfer-Encoding: chunked\r\n\r\n"
            framed = body if number % 2 else (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
            writer.write(head.encode() + framed)
            head, got = await asyncio.wait_for(read_message(reader), SILENCE)
        except TimeoutError:
            count.faults.append(f"seed {seed}: no whole response within {SILENCE} s")
            return
        except (OSError, EOFError):
            count.cut += 1
            connection = connection[1].close() if connection else None
            await asyncio.sleep(0.05)
            continue
        judge(head, got, seed, body, count)
        if " 200 " not in head or "connection: close" in head:
            connection = writer.close()
            await asyncio.sleep(0.05)


def judge(head, got, seed, body, count):
    if " 200 " in head:
        wanted = hashlib.sha256(body).hexdigest().encode() + b"".join(pieces_of(seed))
        if hashlib.sha256(got).digest() != hashlib.sha256(wanted).digest():
            count.faults.append(f"seed {seed}: {len(got)} bytes instead of {len(wanted)}, or others")
        count.whole += 1
        count.bytes += len(got) + len(body)
        count.last_whole = time.monotonic()
    elif " 502 " in head and json.loads(got)["status"] in ("IO", "TRUNCATED", "CLOSED", "TLS_HANDSHAKE"):
        count.unavailable += 1
    else:
        count.faults.append(f"not clear: {head} {got[:300]}")


async def watch(seconds, service, name, count):
    """Memory while the clients run; how much is in use at a moment depends on what is on its way."""
    seen = []
    for _ in range(SAMPLES):
        await asyncio.sleep(seconds / SAMPLES)
        seen.append((service.rss(), len(os.listdir(f"/proc/{service.process.pid}/fd"))))
    print(f"atls {name}, KiB and descriptors:", ", ".join(f"{rss} {fds}" for rss, fds in seen))
    first, last = (max(rss for rss, _ in part) for part in (seen[: SAMPLES // 4], seen[-SAMPLES // 4:]))
    if last - first > GROWTH:
        count.faults.append(f"atls {name} has grown by {last - first} KiB")


async def disturb(seconds, state, count):
    """Kills the upstream and then `atls serve`, each for a tenth of the time, at most 5 seconds."""
    pause = min(seconds / 10, 5)
    await asyncio.sleep(seconds / 3)
    state["upstream"].kill()
    state["upstream"].wait()
    await asyncio.sleep(pause)
    before = count.unavailable
    state["upstream"], _ = start_upstream(state["upstream_port"])
    await recovers(count, "the upstream came back", before)
    await asyncio.sleep(seconds / 3 - pause)
    state["target"].stop(signal.SIGKILL)
    await asyncio.sleep(pause)
    before = count.unavailable
    state["target"] = serve(state["upstream_port"], "-q", listen=f"127.0.0.1:{state['target'].port}")
    await recovers(count, "`atls serve` came back", before)


async def recovers(count, what, unavailable):
    if unavailable == 0:
        count.faults.append(f"nobody got a 502 before {what}")
    begun = time.monotonic()
    while count.last_whole < begun:
        if time.monotonic() - begun > 20:
            count.faults.append(f"no response within 20 s after {what}")
            return
        await asyncio.sleep(0.05)
    print(f"first whole response {count.last_whole - begun:.2f} s after {what}")


async def soak(seconds, clients):
    count, state = Count(), {}
    state["upstream"], state["upstream_port"] = start_upstream()
    state["target"] = serve(state["upstream_port"], "-q")
    with proxy(state["target"].port, "-q") as it:
        until = time.monotonic() + seconds
        work = [client(number, it.port, until, count) for number in range(clients)]
        disturbing = asyncio.create_task(disturb(seconds, state, count))
        # `atls serve` is another one in the last third.
        watching = asyncio.gather(watch(seconds * 0.95, it, "proxy", count), watch(seconds * 0.6, state["target"], "serve", count))
        await asyncio.gather(*work)
        await disturbing
        await watching
        print(f"{clients} clients, {seconds} s: {count.whole} whole responses, {count.bytes / 1e6:.1f} MB both ways, "
              f"{count.cut} broken connections, {count.unavailable} answers 502")
        if it.stop() != 0:
            count.faults.append("the proxy did not end in order")
    state["upstream"].kill()
    state["target"].__exit__()
    if not count.cut:
        count.faults.append("no stream was cut by the kills")
    return count.faults


def main():
    if sys.argv[1] == "upstream":
        return asyncio.run(upstream(int(sys.argv[2])))
    faults = asyncio.run(soak(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 64))
    print("\n".join(faults[:20]) or "soak: ok")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
