"""PyPI's websockets through the forwarder, to a target that is made here.

usage: tunnel.py FORWARDER_PORT TARGET_PORT      (the forwarder lets 127.0.0.1:TARGET_PORT through)
"""

import asyncio
import socket
import struct
import sys

import websockets

SIZE = 8_000_000
SEEN = []


async def target(reader, writer):
    """The first line says how to behave."""
    what = (await reader.readline()).strip()
    if what == b"echo":
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    elif what == b"flood":  # sends a lot, and reads nothing before all of it is gone
        writer.write(b"f" * SIZE)
        await writer.drain()
        SEEN.append(len(await reader.read(-1)))
    elif what == b"half":  # ends its own direction, and reads on
        writer.write_eof()
        SEEN.append(await reader.read(-1))
    elif what == b"reset":
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        return
    writer.close()


async def received(ws):
    data = b""
    async for message in ws:
        data += message
    return data


async def main(url):
    async with websockets.connect(url, max_size=None) as ws:
        await ws.send(b"echo\n")
        await (await ws.ping())
        await ws.send("text counts too")
        assert await ws.recv() == b"text counts too"
        await ws.send([b"in ", b"three ", b"fragments"])
        data = b""
        while len(data) < 18:
            data += await ws.recv()
        assert data == b"in three fragments", data

    # Both directions full at once: neither may wait for the other.
    async with websockets.connect(url, max_size=None) as ws:
        await ws.send(b"flood\n")

        async def upload():
            for _ in range(SIZE // 100_000):
                await ws.send(b"u" * 100_000)

        sending = asyncio.create_task(upload())
        got = 0
        while got < SIZE:
            got += len(await ws.recv())
        await sending
    await until(lambda: SEEN == [SIZE])

    # The target has said all it will; what the client still has to say arrives.
    ws = await websockets.connect(url, close_timeout=10)
    await ws.send(b"half\nand the rest")
    assert await received(ws) == b""
    assert ws.close_code == 1000, ws.close_code
    await until(lambda: len(SEEN) == 2)
    assert SEEN[1] == b"and the rest", SEEN[1]

    ws = await websockets.connect(url)
    await ws.send(b"reset\n")
    try:
        await received(ws)
    except websockets.ConnectionClosedError:
        pass
    assert ws.close_code == 1011, ws.close_code

    # More in one message than anybody should need.
    ws = await websockets.connect(url)
    try:
        await ws.send(b"x" * (2 << 20))
        await received(ws)
    except websockets.ConnectionClosedError:
        pass
    else:
        sys.exit("a message of 2 MiB was taken")

    # Refused before anything is upgraded, with a reason.
    try:
        await websockets.connect(url.replace("target=127.0.0.1", "target=127.0.0.2"))
    except websockets.InvalidStatus as refusal:
        assert refusal.response.status_code == 403 and b"is not allowed" in refusal.response.body
    else:
        sys.exit("another target was let through")


async def until(holds):
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    sys.exit(f"waited in vain: {[str(seen)[:40] for seen in SEEN]}")


async def run(forwarder, port):
    server = await asyncio.start_server(target, "127.0.0.1", port)
    await asyncio.wait_for(main(f"ws://127.0.0.1:{forwarder}/?target=127.0.0.1:{port}"), 120)
    server.close()


asyncio.run(run(int(sys.argv[1]), int(sys.argv[2])))
