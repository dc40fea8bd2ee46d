"""A client of HTTP/2 for tests, on PyPI's h2: it also sends frames that h2 itself would not."""

import socket
import ssl
import subprocess
import threading
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

# A GOAWAY that lets streams end is no end for the connection (RFC 9113 section 6.8); h2 takes it for one.
h2.connection.H2ConnectionStateMachine._transitions[
    (h2.connection.ConnectionState.CLIENT_OPEN, h2.connection.ConnectionInputs.RECV_GOAWAY)
] = (None, h2.connection.ConnectionState.CLIENT_OPEN)

HTTP_1_1, HTTP_2 = 2, 4


class Server:
    """The C program, for as long as the `with` lasts. `said` has the lines that it prints."""

    def __init__(self, program, versions=HTTP_1_1 | HTTP_2, policy=None):
        arguments = [program, str(versions)] + ([policy] if policy else [])
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.said = []
        self.reader = threading.Thread(target=lambda: self.said.extend(line.strip() for line in self.process.stdout))
        self.reader.start()

    def __enter__(self):
        return self

    def stop(self):
        self.process.stdin.close()

    def __exit__(self, *_):
        if not self.process.stdin.closed:
            self.stop()
        code = self.process.wait(30)
        self.reader.join()
        assert code == 0, code

    def wait_for(self, line, told=0):
        """Until it says the line, after what it has told already."""
        for _ in range(500):
            if any(said.startswith(line) for said in self.said[told:]):
                return
            time.sleep(0.01)
        raise AssertionError(f"{line!r} is not in {self.said}")


def connect(port, alpn=("h2",)):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    wire = socket.create_connection(("127.0.0.1", port), 10)
    return context.wrap_socket(wire, server_hostname="localhost")


class Client:
    def __init__(self, port, wire=None):
        self.wire = wire or connect(port)
        config = h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.events, self.ended = [], False
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def flush(self):
        self.wire.sendall(self.h2.data_to_send())

    def raw(self, data):
        """Sends frames past h2, and what h2 has to send first."""
        self.flush()
        try:
            self.wire.sendall(data)
        except OSError:
            self.ended = True

    def headers(self, path="/", method="GET", more=(), authority="localhost", scheme="https"):
        pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
        return [(name, value) for name, value in pseudo if value is not None] + list(more)

    def request(self, path="/", method="GET", more=(), body=None, end=True, **pseudo):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, self.headers(path, method, more, **pseudo), end_stream=end and body is None)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=end)
        self.flush()
        return stream

    def pump(self, acknowledge=True):
        """Reads once; False at the end."""
        try:
            data = self.wire.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        if not data:
            self.ended = True
            return False
        for event in self.h2.receive_data(data):
            self.events.append(event)
            if acknowledge and isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                try:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                except h2.exceptions.ProtocolError:
                    pass
        try:
            self.flush()
        except OSError:
            pass
        return True

    def until(self, kind, stream=None, seconds=10, acknowledge=True):
        """The first such event; None if the connection ends before it."""
        deadline = time.monotonic() + seconds
        while True:
            for event in self.events:
                if isinstance(event, kind) and (stream is None or getattr(event, "stream_id", None) == stream):
                    return event
            assert time.monotonic() < deadline, (kind, self.events)
            self.wire.settimeout(max(0.05, deadline - time.monotonic()))
            try:
                if not self.pump(acknowledge):
                    return None
            except TimeoutError:
                raise AssertionError((kind, self.events))

    def answer(self, stream, seconds=20):
        """Status, header fields, body and trailers; the status is "reset" with the reason if there is no whole response."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            mine = [event for event in self.events if getattr(event, "stream_id", None) == stream]
            for event in mine:
                if isinstance(event, h2.events.StreamReset):
                    return "reset", event.error_code, b"", {}
                if isinstance(event, h2.events.StreamEnded):
                    return self.whole(mine)
            self.wire.settimeout(seconds)
            if not self.pump():
                return "gone", self.goodbye(), b"", {}
        raise AssertionError(self.events)

    def whole(self, mine):
        head = next(event for event in mine if isinstance(event, h2.events.ResponseReceived))
        fields = dict(head.headers)
        body = b"".join(event.data for event in mine if isinstance(event, h2.events.DataReceived))
        trailers = [event.headers for event in mine if isinstance(event, h2.events.TrailersReceived)]
        return fields.pop(":status"), fields, body, dict(trailers[0]) if trailers else {}

    def goodbye(self):
        """The reason of the GOAWAY that has come."""
        last = [event.error_code for event in self.events if isinstance(event, h2.events.ConnectionTerminated)]
        return last[-1] if last else None

    def last_word(self, seconds=10):
        """Reads to the end of the connection; the reason of its GOAWAY, or None."""
        deadline = time.monotonic() + seconds
        while not self.ended:
            assert time.monotonic() < deadline, self.events
            self.wire.settimeout(seconds)
            if not self.pump():
                break
        return self.goodbye()
