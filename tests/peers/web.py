"""A web server by tornado, plain and in TLS, and a socket that says what its client asks it to. For tests of the client.

usage: web.py CERTIFICATE KEY. Prints a line of ports, PLAIN=n TLS=n RAW=n RAWTLS=n, and serves until its standard input ends.
"""

import asyncio
import base64
import gzip
import hashlib
import json
import ssl
import sys
import zlib
from urllib.parse import unquote_to_bytes

import brotli
import tornado.httpserver
import tornado.iostream
import tornado.netutil
import tornado.web
import zstandard


class Base(tornado.web.RequestHandler):
    SUPPORTED_METHODS = tornado.web.RequestHandler.SUPPORTED_METHODS + ("OTHER",)

    def check_etag_header(self):
        return False


class Echo(Base):
    """The request as it was understood."""

    def answer(self):
        arguments = {name: [value.decode("latin-1") for value in values] for name, values in self.request.body_arguments.items()}
        files = {name: [[f.filename, f.content_type, f.body.decode("latin-1")] for f in fs] for name, fs in self.request.files.items()}
        self.write(
            json.dumps(
                {
                    "method": self.request.method,
                    "uri": self.request.uri,
                    "host": self.request.host,
                    "headers": [list(pair) for pair in self.request.headers.get_all()],
                    "body": self.request.body.decode("latin-1"),
                    "arguments": arguments,
                    "files": files,
                    "address": self.request.remote_ip,
                }
            )
        )

    get = post = put = delete = patch = options = other = answer


class Redirect(Base):
    def answer(self):
        self.set_status(int(self.get_query_argument("status", "302")))
        if self.get_query_argument("to", None) is not None:
            self.set_header("Location", self.get_query_argument("to"))
        self.write("moved")

    get = post = put = delete = answer


class Encoded(Base):
    """A body in a content coding, written in two pieces; `cut` leaves bytes off its end, `stray` adds some."""

    async def get(self):
        coding = self.get_query_argument("coding")
        data = b"0123456789" * int(self.get_query_argument("tens", "1000"))
        encode = {
            "gzip": gzip.compress,
            "deflate": zlib.compress,
            "br": brotli.compress,
            "zstd": zstandard.ZstdCompressor().compress,
            "identity": lambda data: data,
        }
        if self.get_query_argument("accept", None) is not None:
            if coding not in self.request.headers.get("Accept-Encoding", ""):
                raise tornado.web.HTTPError(406)
        data = encode.get(coding, lambda data: data)(data)
        data = data[: len(data) - int(self.get_query_argument("cut", "0"))]
        data += b"x" * int(self.get_query_argument("stray", "0"))
        self.set_header("Content-Encoding", coding)
        half = len(data) // 2
        self.write(data[:half])
        await self.flush()
        self.write(data[half:])


class Slow(Base):
    """`head` milliseconds until the head, then a body of `pieces` pieces with `gap` milliseconds between them."""

    async def get(self):
        await asyncio.sleep(int(self.get_query_argument("head", "0")) / 1000)
        for _ in range(int(self.get_query_argument("pieces", "1"))):
            self.write("piece")
            try:
                await self.flush()
            except tornado.iostream.StreamClosedError:
                return
            await asyncio.sleep(int(self.get_query_argument("gap", "0")) / 1000)


class Basic(Base):
    def get(self):
        if self.request.headers.get("Authorization") == "Basic " + base64.b64encode("us\u00e9r:p\u00e4ss".encode()).decode():
            self.write("welcome")
        else:
            self.set_status(401)
            self.set_header("WWW-Authenticate", 'Basic realm="b"')


class Digest(Base):
    """RFC 2069, as old servers have it, or RFC 7616 with qop; the user is "user", the password "pass"."""

    def answer(self):
        modern = self.get_query_argument("modern", None) is not None
        field = self.request.headers.get("Authorization", "")
        if not field.startswith("Digest "):
            extra = ', qop="auth", algorithm=SHA-256' if modern else ""
            self.set_status(401)
            self.add_header("WWW-Authenticate", 'Bearer realm="other"')
            self.add_header("WWW-Authenticate", f'Digest realm="r", nonce="n1", opaque="o"{extra}')
            return
        given = tornado.httputil.HTTPHeaders()
        for part in field[7:].split(","):
            name, _, value = part.strip().partition("=")
            given[name] = value.strip('"')
        hashed = lambda text: (hashlib.sha256 if modern else hashlib.md5)(text.encode()).hexdigest()
        one = hashed("user:r:" + self.get_query_argument("password", "pass"))
        two = hashed(f"{self.request.method}:{self.request.uri}")
        middle = f"n1:{given['nc']}:{given['cnonce']}:auth" if modern else "n1"
        right = given["response"] == hashed(f"{one}:{middle}:{two}") and given["opaque"] == "o" and given["uri"] == self.request.uri
        self.set_status(200 if right else 403)
        self.write(f"welcome {self.request.body.decode()}" if right else "no")

    get = post = answer


class Cookies(Base):
    def get(self):
        for pair in self.get_query_arguments("set"):
            self.add_header("Set-Cookie", pair)
        self.write(self.request.headers.get("Cookie", "none"))


class Modified(Base):
    def get(self):
        self.set_status(304 if self.request.headers.get("If-Modified-Since") == "Sun, 06 Nov 1994 08:49:37 GMT" else 200)


class Status(Base):
    def answer(self, code):
        self.set_status(int(code), self.get_query_argument("reason", None))

    get = head = answer


@tornado.web.stream_request_body
class Upload(Base):
    """Counts what it is sent; with `refuse` it answers before the body."""

    def prepare(self):
        self.count = 0
        if self.get_query_argument("refuse", None) is not None:
            self.set_status(403)
            self.finish("no")

    def data_received(self, chunk):
        self.count += len(chunk)

    def post(self):
        self.write(f"{self.count} {self.request.headers.get('Expect', '-')} {self.request.headers.get('Content-Length', 'chunked')}")

    put = post


async def raw(reader, writer):
    """Answers `GET /BYTES` with those bytes, percent-decoded, then closes; with `keep` behind "?" it does not. "%7E" alone is a pause of 0.1 s."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        path, _, query = head.split(b" ")[1][1:].partition(b"?")
        for piece in path.split(b"~"):
            writer.write(unquote_to_bytes(piece))
            await writer.drain()
            await asyncio.sleep(0.02)
        if query == b"keep":
            await reader.read()
        if query == b"reset":
            writer.transport.abort()
    except (asyncio.IncompleteReadError, ConnectionError, IndexError):
        pass
    writer.close()


def application():
    return tornado.web.Application(
        [
            (r"/echo.*", Echo),
            (r"/redirect", Redirect),
            (r"/encoded", Encoded),
            (r"/slow", Slow),
            (r"/basic", Basic),
            (r"/digest", Digest),
            (r"/cookies.*", Cookies),
            (r"/modified", Modified),
            (r"/status/(\d+)", Status),
            (r"/upload", Upload),
        ]
    )


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    ports = {}
    for name, tls in (("PLAIN", None), ("TLS", context)):
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        tornado.httpserver.HTTPServer(application(), ssl_options=tls).add_sockets(sockets)
        ports[name] = sockets[0].getsockname()[1]
    for name, tls in (("RAW", None), ("RAWTLS", context)):
        server = await asyncio.start_server(raw, "127.0.0.1", 0, ssl=tls)
        ports[name] = server.sockets[0].getsockname()[1]
    print(" ".join(f"{name}={port}" for name, port in ports.items()), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
