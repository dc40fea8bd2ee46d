"""What h11 makes of a script: one JSON list of commands a line in, one JSON list of what was seen a line out.

Commands: ["feed", hex] ["eof"] ["request", method, target, headers] ["response", status, reason, headers] ["data", n]
["end", trailers] ["close"] ["failed"] ["cycle"]; the first item of a script is the role. Text is latin-1.
"""
import json
import sys

import h11


def text(data):
    return data.decode("latin-1")


def fields(headers):
    return [[text(bytes(name)), text(bytes(value))] for name, value in headers.raw_items()]


def show(event):
    if isinstance(event, h11.Request):
        return ["Request", text(event.method), text(event.target), text(event.http_version), fields(event.headers)]
    if isinstance(event, (h11.InformationalResponse, h11.Response)):
        kind = type(event).__name__
        return [kind, event.status_code, text(event.reason), text(event.http_version), fields(event.headers)]
    if isinstance(event, h11.EndOfMessage):
        return ["EndOfMessage", fields(event.headers)]
    if event is h11.PAUSED:
        return ["PAUSED"]
    return [type(event).__name__]


def drain(conn, seen):
    data = b""
    while True:
        try:
            event = conn.next_event()
        except h11.RemoteProtocolError as error:
            event = ["error", error.error_status_hint]
        except AttributeError:  # h11's own slip over an illegal transition; the states are those of an error
            event = ["error", 400]
        if isinstance(event, h11.Data):
            data += bytes(event.data)
            continue
        if data:
            seen.append(["Data", data.hex()])
            data = b""
        if event is h11.NEED_DATA:
            return
        seen.append(event if isinstance(event, list) else show(event))
        if isinstance(event, list) or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
            return


def send(conn, seen, make):
    try:
        out = conn.send(make())
        seen.append(["sent", (out or b"").hex()])
    except (h11.LocalProtocolError, AttributeError):
        # Where h11 refuses to make the event, its connection has not seen it; ours is in error then.
        conn.send_failed()
        seen.append(["refused"])


def latin(headers):
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def step(conn, command, seen):
    kind, rest = command[0], command[1:]
    if kind == "feed":
        conn.receive_data(bytes.fromhex(rest[0]))
        drain(conn, seen)
    elif kind == "eof":
        conn.receive_data(b"")
        drain(conn, seen)
    elif kind == "request":
        send(conn, seen, lambda: h11.Request(method=rest[0].encode("latin-1"), target=rest[1].encode("latin-1"), headers=latin(rest[2])))
    elif kind == "response":
        made = h11.InformationalResponse if rest[0] < 200 else h11.Response
        send(conn, seen, lambda: made(status_code=rest[0], reason=rest[1].encode("latin-1"), headers=latin(rest[2])))
    elif kind == "data":
        send(conn, seen, lambda: h11.Data(data=b"x" * rest[0]))
    elif kind == "end":
        send(conn, seen, lambda: h11.EndOfMessage(headers=latin(rest[0])))
    elif kind == "close":
        send(conn, seen, h11.ConnectionClosed)
    elif kind == "failed":
        conn.send_failed()
    elif kind == "cycle":
        try:
            conn.start_next_cycle()
            seen.append(["cycle"])
            drain(conn, seen)
        except (h11.LocalProtocolError, AttributeError):
            seen.append(["no cycle"])
    trailing, eof = conn.trailing_data
    seen.append([str(conn.states[h11.CLIENT]), str(conn.states[h11.SERVER]), conn.they_are_waiting_for_100_continue,
                 conn.client_is_waiting_for_100_continue, len(trailing), eof])


for line in sys.stdin:
    role, *commands = json.loads(line)
    conn = h11.Connection(our_role=h11.CLIENT if role == "client" else h11.SERVER)
    steps = []
    for command in commands:
        seen = []
        step(conn, command, seen)
        steps.append(seen)
    print(json.dumps(steps), flush=True)
