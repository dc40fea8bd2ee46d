"""Both roles of atlas-v1 and exporter-v1, written from docs/protocol.md alone. TLS is OpenSSL's.

usage: attested.py ask PORT CA.pem AGENT CERT.pem KEY.pem     a client that proves itself, and tries what must fail
       attested.py atlas PORT CA.pem                          a client that only wants the server's proof, by atlas-v1
       attested.py serve CA.pem AGENT CERT.pem KEY.pem        a server that wants proof too; prints its port, serves until stdin ends

AGENT is the socket of a guest agent. A peer that verifies needs the vendor's rules for quotes too, which are not the page's: this one checks
what binds evidence to a session.
"""

import hashlib
import json
import os
import socket
import sys
import threading

from OpenSSL import SSL, crypto

LABEL = b"EXPERIMENTAL-atls-exporter-v1"
PATH = "/atls/exporter-v1"
TAG = b"atls-exporter-v1\0"
KEY_EVENT = "New TLS Certificate"
RUNTIME_EVENT = 134217729


def sha384(data):
    return hashlib.sha384(data).digest()


# Section "TLS".


def context(ca, certificate=None):
    made = SSL.Context(SSL.TLS_METHOD)
    made.set_min_proto_version(SSL.TLS1_3_VERSION)
    made.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    made.load_verify_locations(ca)
    made.set_verify(SSL.VERIFY_PEER)
    if certificate:
        made.use_certificate_chain_file(certificate[0])
        made.use_privatekey_file(certificate[1])
    return made


class Session:
    """A TLS session, with HTTP/1.1 on it (section "HTTP")."""

    def __init__(self, tls, is_client, shown):
        self.tls, self.is_client, self.unread = tls, is_client, b""
        other = tls.get_peer_certificate()
        other = der(other) if other else None
        self.server, self.client = (other, shown) if is_client else (shown, other)
        self.name = tls.get_servername() or b""

    def read(self):
        try:
            piece = self.tls.recv(65536)
        except SSL.ZeroReturnError:
            piece = b""
        self.unread += piece
        return piece

    def line_and_body(self):
        """The first line and the body of a message that is framed by its length; None at the end."""
        while b"\r\n\r\n" not in self.unread:
            if not self.read():
                return None
        head, _, self.unread = self.unread.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        self.fields = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        length = int(self.fields.get("content-length", "0"))
        while len(self.unread) < length:
            assert self.read(), "cut"
        body, self.unread = self.unread[:length], self.unread[length:]
        return first, body

    def ask(self, method, path, body=b""):
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.tls.sendall(head.encode() + body)
        answer = self.line_and_body()
        return (None, b"") if answer is None else (int(answer[0].split()[1]), answer[1])

    def answer(self, status, body):
        self.tls.sendall(f"HTTP/1.1 {status} Reason\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    # Section "The binder".

    def binder(self, challenge):
        """`challenge` as it was sent or received, bytes."""
        read = json.loads(challenge)
        server, client = (sha384(spki(leaf)) if leaf else bytes(48) for leaf in (self.server, self.client))
        attester, verifier = (server, client) if read["role"] == "S" else (client, server)
        exporter = self.tls.export_keying_material(LABEL, 32, sha384(challenge))
        name = self.name.lower().removesuffix(b".")
        parts = TAG, read["role"].encode(), b"\0\1", bytes.fromhex(read["nonce"]), exporter, attester, verifier, sha384(name)
        text = b"".join(parts)
        assert len(text) == 228
        return hashlib.sha512(text).digest()

    def atlas_report_data(self, nonce):
        return hashlib.sha512(nonce + self.tls.export_keying_material(b"EXPORTER-Channel-Binding", 32)).digest()


def der(certificate):
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


def spki(leaf):
    return crypto.dump_publickey(crypto.FILETYPE_ASN1, crypto.load_certificate(crypto.FILETYPE_ASN1, leaf).get_pubkey())


def leaf_of(path):
    with open(path, "rb") as file:
        return der(crypto.load_certificate(crypto.FILETYPE_PEM, file.read()))


# Section "The challenge".


def challenge(role):
    return json.dumps({"protocol": "exporter-v1", "role": role, "nonce": os.urandom(32).hex(), "tee": ["tdx"]}).encode()


def answer(role, evidence, following=None):
    members = {"protocol": "exporter-v1", "role": role, "tee": "tdx", "evidence": evidence}
    return json.dumps(members | ({"challenge": following.decode()} if following else {})).encode()


# Sections "Evidence", "The event log" and "The certificate event".


def agent(path, call, members):
    with socket.socket(socket.AF_UNIX) as wire:
        wire.connect(path)
        body = json.dumps(members).encode()
        wire.sendall(f"POST {call} HTTP/1.1\r\nHost: agent\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        text = b""
        while b"\r\n\r\n" not in text or len(text.partition(b"\r\n\r\n")[2]) < length_in(text):
            piece = wire.recv(65536)
            assert piece, "the agent has ended the connection"
            text += piece
        assert text.startswith(b"HTTP/1.1 200"), text[:100]
        return json.loads(text.partition(b"\r\n\r\n")[2])


def length_in(head):
    lines = head.partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")
    return next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))


def fingerprint(leaf):
    return hashlib.sha256(leaf).hexdigest().encode()


# One at a time: between the event and the quote there must be no other event.
turn = threading.Lock()


def evidence(path, report_data, leaf):
    with turn:
        if leaf:
            agent(path, "/EmitEvent", {"event": KEY_EVENT, "payload": fingerprint(leaf).hex()})
        return agent(path, "/GetQuote", {"report_data": report_data.hex()})


def digest(event):
    if event["event_type"] != RUNTIME_EVENT:
        return bytes.fromhex(event["digest"])
    name, payload = event["event"], bytes.fromhex(event["event_payload"])
    if event.get("version") == 2:
        document = json.dumps({"name": name, "payload": payload.hex(), "type": RUNTIME_EVENT}, separators=(",", ":"), ensure_ascii=False)
        return sha384(document.encode())
    return sha384(b"\x01\x00\x00\x08:" + name.encode() + b":" + payload)


def judge(shown, report_data, leaf, needs_event=True):
    """Name of the check that fails, or None."""
    quote = bytes.fromhex(shown["quote"])
    at = {4: 568, 5: 574}[int.from_bytes(quote[:2], "little")]
    if quote[at : at + 64] != report_data:
        return "report_data"
    events = [event for event in json.loads(shown["event_log"]) if event["imr"] == 3]
    register = bytes(48)
    for event in events:
        if event["digest"] and bytes.fromhex(event["digest"]) != digest(event):
            return "event_log"
        register = sha384(register + digest(event))
    if quote[at - 48 : at] != register:
        return "rtmr3"
    names = [event["event"] for event in events]
    if names.count("system-ready") != 1 or KEY_EVENT in names[: names.index("system-ready")]:
        return "event_order"
    payloads = [bytes.fromhex(event["event_payload"]) for event in events if event["event"] == KEY_EVENT]
    shows_key = leaf and payloads[-1:] == [fingerprint(leaf)]
    return "certificate_event" if needs_event and not shows_key else None


# The client.


def connect(port, ca, certificate=None):
    tls = SSL.Connection(context(ca, certificate), socket.create_connection(("127.0.0.1", int(port))))
    tls.set_tlsext_host_name(b"localhost")
    tls.set_alpn_protos([b"http/1.1"])
    tls.set_connect_state()
    tls.do_handshake()
    names = str(tls.get_peer_certificate().to_cryptography().extensions)
    assert "localhost" in names, names
    # A server that has not asked was shown nothing.
    asked = bool(tls.get_client_ca_list())
    return Session(tls, True, leaf_of(certificate[0]) if certificate and asked else None)


def prove_server(session):
    """The server's answer to a challenge, judged; the challenge in it, if there is one."""
    asked = challenge("S")
    status, body = session.ask("POST", PATH, asked)
    assert status == 200, (status, body)
    told = json.loads(body)
    assert (told["protocol"], told["role"], told["tee"]) == ("exporter-v1", "S", "tdx"), told
    failed = judge(told["evidence"], session.binder(asked), session.server)
    assert failed is None, failed
    following = told["challenge"]
    return following.encode() if following else None


def expect(session, method, path, body, status, text=None):
    told = session.ask(method, path, body)
    assert told[0] == status and (text is None or json.loads(told[1]) == text), (path, body[:200], told)


def prove_self(session, path, asked):
    shown = answer("C", evidence(path, session.binder(asked), session.client))
    expect(session, "POST", f"{PATH}/client", shown, 200, {"accepted": True})


def ask(port, ca, path, *certificate):
    """First the truth, with and without what is optional."""
    session = connect(port, ca, certificate)
    prove_self(session, path, prove_server(session))
    status, body = session.ask("GET", "/")
    assert status == 200 and b"the client is trusted: yes" in body, (status, body)
    # Once more on the same connection, by absolute form and with a query.
    asked = challenge("S")
    assert session.ask("POST", f"https://localhost{PATH}?again", asked)[0] == 200
    assert session.ask("GET", "/")[0] == 200
    expect(session, "POST", "/tdx_quote", b'{"nonce_hex":"00"}', 422)
    nonce = os.urandom(32)
    status, body = session.ask("POST", "/tdx_quote", json.dumps({"nonce_hex": nonce.hex()}).encode())
    assert status == 200 and judge(json.loads(body)["quote"], session.atlas_report_data(nonce), session.server) is None
    refusals(port, ca, path, certificate)
    ends(port, ca)
    print("attested.py: proved, and refused where it should be")


def refusals(port, ca, path, certificate):
    """Eight refusals: then the connection ends."""
    session = connect(port, ca, certificate)
    client = f"{PATH}/client"
    expect(session, "POST", PATH, b"{}", 422)
    expect(session, "POST", PATH, challenge("C"), 422)
    expect(session, "POST", client, b"{}", 403, {"error": "challenge"})
    first, second = prove_server(session), prove_server(session)
    # The second challenge has replaced the first.
    shown = evidence(path, session.binder(first), session.client)
    expect(session, "POST", client, answer("C", shown), 403, {"error": "report_data"})
    shown = evidence(path, session.binder(second), session.client)
    expect(session, "POST", client, answer("C", shown), 403, {"error": "challenge"})
    # The challenge written anew is another one.
    asked = prove_server(session)
    anew = json.dumps(json.loads(asked), indent=1).encode()
    expect(session, "POST", client, answer("C", evidence(path, session.binder(anew), session.client)), 403, {"error": "report_data"})
    prove_server(session)
    expect(session, "POST", client, b"{}", 403, {"error": "answer"})
    prove_server(session)
    expect(session, "POST", client, answer("C", None), 403, {"error": "answer"})
    # A refused challenge leaves the open one as it is.
    asked = prove_server(session)
    expect(session, "POST", PATH, b"", 422)
    if session.client:
        spoiled, check = evidence(path, session.binder(asked), b"another certificate"), "certificate_event"
    else:
        spoiled, check = evidence(path, session.binder(asked)[::-1], None), "report_data"
    expect(session, "POST", client, answer("C", spoiled), 403, {"error": check})
    asked = prove_server(session)
    expect(session, "POST", client, answer("S", evidence(path, session.binder(asked), session.client)), 403, {"error": "answer"})
    assert session.fields["connection"] == "close" and session.read() == b"", session.fields


def ends(port, ca):
    """What ends a connection at once."""
    for method, path, body, status in [
        ("GET", "/", b"", 403),
        ("GET", PATH, b"", 403),
        ("POST", PATH, b" " * 1025, 413),
        ("POST", "/tdx_quote", b" " * 4097, 413),
        ("POST", f"{PATH}/client", b" " * ((1 << 20) + 1), 413),
    ]:
        session = connect(port, ca)
        try:
            expect(session, method, path, body, status)
            assert session.read() == b""
        except (SSL.SysCallError, BrokenPipeError):
            # Gone before it had read all.
            assert len(body) > 65536


def atlas(port, ca):
    session = connect(port, ca)
    nonce = os.urandom(32)
    status, body = session.ask("POST", "/tdx_quote", json.dumps({"nonce_hex": nonce.hex().upper()}).encode())
    assert status == 200, (status, body)
    failed = judge(json.loads(body)["quote"], session.atlas_report_data(nonce), session.server)
    assert failed is None, failed
    print("attested.py: the server is proved by atlas-v1")


# The server.


def serve_one(session, path):
    asked, proved = None, False
    while (request := session.line_and_body()) is not None:
        (method, target, _), body = request[0].split(), request[1]
        if (method, target) == ("POST", "/tdx_quote"):
            nonce = bytes.fromhex(json.loads(body)["nonce_hex"])
            shown = evidence(path, session.atlas_report_data(nonce), session.server)
            session.answer(200, json.dumps({"success": True, "quote": shown}).encode())
            proved = True  # such a client cannot be asked
        elif (method, target) == ("POST", PATH):
            asked = challenge("C")
            shown = evidence(path, session.binder(body), session.server)
            session.answer(200, answer("S", shown, asked))
        elif (method, target) == ("POST", f"{PATH}/client"):
            told = json.loads(body)
            assert (told["protocol"], told["role"], told["tee"]) == ("exporter-v1", "C", "tdx"), told
            # Without a certificate there is none that the log could name.
            leaf = session.client
            failed = judge(told["evidence"], session.binder(asked), leaf, bool(leaf)) if asked else "challenge"
            asked, proved = None, proved or failed is None
            session.answer(403 if failed else 200, json.dumps({"error": failed} if failed else {"accepted": True}).encode())
        else:
            session.answer(200 if proved else 403, b"served by Python\n" if proved else b"")


def serve(ca, path, certificate, key):
    made = context(ca, (certificate, key))
    made.set_verify(SSL.VERIFY_PEER)
    made.set_alpn_select_callback(lambda _, offered: b"http/1.1" if b"http/1.1" in offered else SSL.NO_OVERLAPPING_PROTOCOLS)
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)

    def one(wire):
        tls = SSL.Connection(made, wire)
        tls.set_accept_state()
        try:
            tls.do_handshake()
            serve_one(Session(tls, False, leaf_of(certificate)), path)
            tls.shutdown()
        except SSL.Error:
            pass  # A client that refuses, or has enough, closes TCP.
        wire.close()

    def accept():
        while True:
            threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    {"ask": ask, "atlas": atlas, "serve": serve}[sys.argv[1]](*sys.argv[2:])
