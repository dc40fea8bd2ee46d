//! A client and a server of ours back to back, driven by bytes that say what each does next.

use atls::h1::{Connection, EventKind, ProtocolError, Role, Rules, State};

type Header = (&'static [u8], &'static [u8]);

const HEADERS: [Header; 12] = [
    (b"Host", b"a"),
    (b"Content-Length", b"5"),
    (b"Transfer-Encoding", b"Chunked"),
    (b"Connection", b"keep-alive, Upgrade"),
    (b"Connection", b"close"),
    (b"Upgrade", b"b"),
    (b"Expect", b"100-continue"),
    (b"X", b""),
    (b"x-long", b"a\tb \xff c"),
    (b"content-length", b"0"),
    (b"Trailer", b"T"),
    (b"Via", b"c, d"),
];
const METHODS: [&[u8]; 4] = [b"GET", b"HEAD", b"CONNECT", b"POST"];
const STATUSES: [u16; 8] = [200, 204, 304, 100, 101, 103, 404, 999];

/// One direction: what was sent and not yet handed over, and bodies on both ends.
#[derive(Default)]
struct Wire {
    bytes: Vec<u8>,
    sent: u64,
    got: u64,
    events: u64,
}

/// Plays until the input or the connection ends. Returns how many events and bytes of body got through.
pub fn play(data: &[u8]) -> u64 {
    let mut client = Connection::new(Role::Client, Rules::default());
    let mut server = Connection::new(Role::Server, Rules::default());
    let (mut up, mut down) = (Wire::default(), Wire::default());
    let mut input = data.iter().copied();
    while let (Some(action), Some(detail)) = (input.next(), input.next()) {
        let ok = match action % 12 {
            0..=4 => send(&mut client, &mut up, action % 12, detail, &mut input),
            5..=8 => send(&mut server, &mut down, action % 12 - 4, detail, &mut input),
            9 => deliver(&mut up, &mut server, detail),
            10 => deliver(&mut down, &mut client, detail),
            _ => {
                let both = client.start_next_cycle().is_ok();
                if both && up.bytes.is_empty() && down.bytes.is_empty() {
                    server.start_next_cycle().is_ok()
                } else {
                    !both
                }
            }
        };
        if !ok {
            break;
        }
    }
    up.got + down.got + up.events + down.events
}

fn headers(input: &mut impl Iterator<Item = u8>, detail: u8) -> Vec<Header> {
    let count = usize::from(detail >> 5);
    let mut list = vec![HEADERS[0]];
    list.extend(input.take(count).map(|byte| HEADERS[1 + usize::from(byte) % (HEADERS.len() - 1)]));
    list
}

/// False where the caller broke the rules, and then its side is in error.
fn send(conn: &mut Connection, wire: &mut Wire, what: u8, detail: u8, input: &mut impl Iterator<Item = u8>) -> bool {
    let in_time = match (what, conn.our_state()) {
        (0 | 1, State::Idle | State::SendResponse) | (2 | 3, State::SendBody) => true,
        (4, State::Done | State::MustClose) => detail.is_multiple_of(4),
        _ => false,
    };
    // What comes at the wrong time ends the game: seldom enough that something happens before.
    if !in_time && !detail.is_multiple_of(16) {
        return true;
    }
    let list = headers(input, detail);
    let sent: Result<Vec<u8>, ProtocolError> = match what {
        0 | 1 if conn.role() == Role::Client => {
            let method = METHODS[usize::from(detail) % 4];
            conn.send_request(method, b"/", list.into_iter()).map(<[u8]>::to_vec)
        }
        0 | 1 => {
            let status = STATUSES[usize::from(detail) % 8];
            conn.send_response(status, b"why", list.into_iter().skip(1)).map(<[u8]>::to_vec)
        }
        2 => conn.send_data(u64::from(detail)).map(|(before, after)| {
            wire.sent += u64::from(detail);
            [before, &vec![b'x'; detail.into()], after].concat()
        }),
        3 => conn.send_end_of_message(list.into_iter().skip(1)).map(<[u8]>::to_vec),
        _ => conn.send_connection_closed().map(|()| Vec::new()),
    };
    match sent {
        Ok(bytes) => {
            wire.bytes.extend_from_slice(&bytes);
            true
        }
        Err(_) => {
            assert_eq!(conn.our_state(), State::Error);
            false
        }
    }
}

/// Hands over some bytes. What the other end has against them can only be their time, never their form.
fn deliver(wire: &mut Wire, to: &mut Connection, detail: u8) -> bool {
    let count = usize::from(detail).min(wire.bytes.len());
    let bytes: Vec<u8> = wire.bytes.drain(..count).collect();
    assert!(to.receive(&bytes));
    loop {
        match to.next_event() {
            Ok(event) => match event.kind {
                EventKind::Data => wire.got += event.data.len() as u64,
                EventKind::EndOfMessage => {
                    // A sender may have gone on to the next message only with its next cycle, which waits for the wire.
                    assert!(wire.got <= wire.sent);
                }
                EventKind::NeedData | EventKind::Paused => return true,
                EventKind::ConnectionClosed => {
                    assert!(to.their_state() == State::Closed);
                    return true;
                }
                _ => wire.events += 1,
            },
            Err(error) => {
                let timing = ["is impossible while", "should end", "did not propose", "before"];
                assert!(timing.iter().any(|part| error.message.contains(part)), "{error}");
                return false;
            }
        }
    }
}
