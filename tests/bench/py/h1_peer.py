"""One cycle as in c/h1_atls.c, with h11 or httptools.

h1_peer.py h11|httptools length|chunked BODY N
"""
import os
import resource
import sys
import time


def load(name, framing):
    with open(os.path.join(os.environ["BENCH_SAMPLE"], name), "rb") as f:
        return [tuple(line.rstrip(b"\n").split(b": ", 1)) for line in f] + [framing]


def h11_cycle(request, response, body):
    import h11

    client, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)

    def send(conn, head):
        return conn.send(head) + conn.send(h11.Data(data=body)) + conn.send(h11.EndOfMessage())

    def receive(conn, data):
        conn.receive_data(data)
        while type(conn.next_event()) is not h11.EndOfMessage:
            pass

    def cycle():
        receive(server, send(client, h11.Request(method=b"POST", target=TARGET, headers=request)))
        receive(client, send(server, h11.Response(status_code=200, reason=b"OK", headers=response)))
        client.start_next_cycle()
        server.start_next_cycle()

    return cycle


def httptools_cycle(request, response, body, chunked):
    import httptools

    class Sink:
        def __init__(self):
            self.headers, self.body, self.done = [], b"", False

        def on_header(self, name, value):
            self.headers.append((name, value))

        def on_body(self, data):
            self.body += data

        def on_message_complete(self):
            self.done = True

    def put(line, headers):
        framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
        return b"".join([line] + [b"%s: %s\r\n" % header for header in headers] + [b"\r\n", framed])

    def cycle():
        there, back = Sink(), Sink()
        httptools.HttpRequestParser(there).feed_data(put(b"POST %s HTTP/1.1\r\n" % TARGET, request))
        httptools.HttpResponseParser(back).feed_data(put(b"HTTP/1.1 200 OK\r\n", response))
        assert there.done and back.done

    return cycle


TARGET = b"/v1/sessions/42/messages?stream=false"
which, framing, size, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
chunked = framing == "chunked"
field = (b"Transfer-Encoding", b"chunked") if chunked else (b"Content-Length", b"%d" % size)
request, response = load("request.txt", field), load("response.txt", field)
if which == "h11":
    cycle = h11_cycle(request, response, b"x" * size)
else:
    cycle = httptools_cycle(request, response, b"x" * size, chunked)
cycle()
wall, used = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
for _ in range(count):
    cycle()
after = resource.getrusage(resource.RUSAGE_SELF)
cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
print('{"ops":%d,"bytes":0,"wall":%.6f,"cpu":%.6f}' % (count, time.monotonic() - wall, cpu))
