"""Servers of HTTP/2 for tests, frame by frame: they also send what no server should."""

import os
import socket
import ssl
import threading

import hpack
import hyperframe.frame as frames

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Wire:
    """One connection. A script answers its requests: a function of the wire and the number of the stream."""

    def __init__(self, wire, server):
        self.wire, self.server = wire, server
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.lock, self.open, self.most = threading.Lock(), set(), 0
        self.received = {}

    def read(self, count):
        data = b""
        while len(data) < count:
            piece = self.wire.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def send(self, frame):
        self.raw(frame.serialize())

    def raw(self, data):
        with self.lock:
            self.wire.sendall(data)

    def head(self, stream, status=200, fields=(), ends=False):
        block = self.encoder.encode([(":status", str(status)), *fields])
        flags = ["END_HEADERS"] + (["END_STREAM"] if ends else [])
        self.send(frames.HeadersFrame(stream, block, flags=flags))

    def trailers(self, stream, fields):
        self.send(frames.HeadersFrame(stream, self.encoder.encode(fields), flags=["END_HEADERS", "END_STREAM"]))

    def data(self, stream, data, ends=True):
        self.send(frames.DataFrame(stream, data, flags=["END_STREAM"] if ends else []))

    def answer(self, stream, text=b"ok"):
        self.head(stream)
        self.data(stream, text)
        self.open.discard(stream)

    def reset(self, stream, code):
        self.send(frames.RstStreamFrame(stream, error_code=code))
        self.open.discard(stream)

    def go_away(self, last, code=0):
        self.send(frames.GoAwayFrame(0, last_stream_id=last, error_code=code))

    def serve(self):
        assert self.read(len(PREFACE)) == PREFACE
        if self.server.greeting is not None:
            self.raw(self.server.greeting)
        else:
            self.send(frames.SettingsFrame(0, settings=self.server.settings))
        while True:
            frame, length = frames.Frame.parse_frame_header(memoryview(self.read(9)))
            frame.parse_body(memoryview(self.read(length)))
            self.handle(frame)

    def handle(self, frame):
        if isinstance(frame, frames.SettingsFrame) and "ACK" not in frame.flags:
            self.send(frames.SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, frames.PingFrame) and "ACK" not in frame.flags:
            self.send(frames.PingFrame(0, frame.opaque_data, flags=["ACK"]))
        elif isinstance(frame, frames.HeadersFrame):
            assert "END_HEADERS" in frame.flags
            self.server.heads.append(dict(self.decoder.decode(frame.data)))
            self.open.add(frame.stream_id)
            self.most = max(self.most, len(self.open))
            self.received[frame.stream_id] = 0
            if self.server.early:
                self.server.script(self, frame.stream_id)
        elif isinstance(frame, frames.DataFrame):
            self.received[frame.stream_id] += len(frame.data)
            if frame.data:
                for stream in (0, frame.stream_id):
                    self.send(frames.WindowUpdateFrame(stream, window_increment=len(frame.data)))
        elif isinstance(frame, frames.RstStreamFrame):
            self.open.discard(frame.stream_id)
            self.server.resets.append(frame.error_code)
        elif isinstance(frame, frames.GoAwayFrame):
            self.server.farewells.append(frame.error_code)
        if getattr(frame, "flags", None) and "END_STREAM" in frame.flags and not self.server.early:
            self.server.script(self, frame.stream_id)


class Server:
    """Listens as long as the `with` lasts."""

    def __init__(self, script, settings=None, greeting=None, early=False):
        self.script, self.settings, self.greeting, self.early = script, settings or {}, greeting, early
        self.heads, self.resets, self.farewells, self.wires = [], [], [], []

    def __enter__(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        sim = os.environ["ATLS_SIM"]
        context.load_cert_chain(f"{sim}/peer.pem", f"{sim}/peer-key.pem")
        context.set_alpn_protocols(["h2"])
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def accept(self):
        while True:
            try:
                wire, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(wire,), daemon=True).start()

    def serve(self, wire):
        try:
            with self.context.wrap_socket(wire, server_side=True) as wire:
                wire.settimeout(30)
                connection = Wire(wire, self)
                self.wires.append(connection)
                connection.serve()
        except (EOFError, OSError):
            pass

    def __exit__(self, *_):
        self.listener.close()
