//! One exchange, two engines, each the other's oracle: both engines of HTTP/1.1 get the same bytes in the same pieces, and must agree on heads, bodies, trailers,
//! errors, on what they send and on whether the connection can be used again, but for the lines of `DIFFERENCES`.
//!
//! The generator is seeded, so a failure repeats. ATLS_ENGINES_SECONDS makes the random part that long.

#[path = "support/engines.rs"]
mod engines;
#[path = "support/random.rs"]
mod random;
#[path = "support/h1_vectors.rs"]
mod vectors;

use std::time::{Duration, Instant};

use atls::client::EngineKind;
use atls::error::{Detail, Status};
use engines::{Came, Run, Sent, Step, pieces, play, rests_until};
use random::Random;
use vectors::{Side, VECTORS};

/// A difference that is meant: why, and whether these two differ in it and in nothing else. First what hyper made of it, then the machine.
struct Difference {
    why: &'static str,
    explains: fn(&Came, &Came) -> bool,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        why: "hyper folds the names of trailers to lower case and groups equal ones; the machine keeps them as they are spelled",
        explains: |hyper, own| {
            let folded = |came: &Came| {
                let mut lines: Vec<_> = came.trailers.iter().flatten().cloned().collect();
                lines.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
                lines.sort_by(|one, other| one.0.cmp(&other.0));
                lines
            };
            folded(hyper) == folded(own)
                && Came { trailers: None, ..hyper.clone() } == Came { trailers: None, ..own.clone() }
        },
    },
    Difference {
        why: "hyper is not shown the bytes that came together with a fault, be they of the body or of the head before it",
        explains: |hyper, own| {
            let bare = |came: &Came| Came { head: None, body: Vec::new(), ..came.clone() };
            let less = own.body.starts_with(&hyper.body) && (hyper.head.is_none() || hyper.head == own.head);
            hyper.error.is_some() && less && bare(hyper) == bare(own)
        },
    },
    Difference {
        why: "hyper refuses a head, or trailers, that begin badly before they are complete, and does not say for what: they are taken for too long a head, or \
            for bad chunks; the machine judges what is complete",
        explains: |hyper, own| {
            let same = |came: &Came| Came { error: None, ..came.clone() };
            let refused = matches!(own.error, Some((Status::HttpProtocol | Status::Truncated, _)));
            let guessed = match hyper.error {
                Some((Status::HttpProtocol, Detail::HeadTooLarge)) => own.head.is_none(),
                Some((Status::HttpProtocol, Detail::BadChunk)) => {
                    matches!(
                        own.error,
                        Some((Status::Truncated, Detail::None) | (Status::HttpProtocol, Detail::BadHeader))
                    )
                }
                _ => false,
            };
            guessed && refused && same(hyper) == same(own)
        },
    },
];

fn agree(hyper: &Came, own: &Came) -> bool {
    hyper == own || DIFFERENCES.iter().any(|difference| (difference.explains)(hyper, own))
}

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
}

async fn both(steps: &[Step]) -> [Run; 2] {
    [play(EngineKind::Hyper, steps).await, play(EngineKind::H1, steps).await]
}

/// Plays the steps on both engines; what they came to, or how they differ.
fn compared(steps: &[Step]) -> Result<(Run, Run), String> {
    let [hyper, own] = RUNTIME.with(|runtime| runtime.block_on(both(steps)));
    let same =
        hyper.came.len() == own.came.len() && hyper.came.iter().zip(&own.came).all(|(one, other)| agree(one, other));
    // What was still on its way when the connection was closed is left to chance.
    let whole = |run: &Run| run.asked.iter().filter(|asked| asked.2).cloned().collect::<Vec<_>>();
    let sent = whole(&hyper) == whole(&own) && hyper.asked.len() == own.asked.len();
    match same && sent {
        true => Ok((hyper, own)),
        false => Err(format!("{steps:?}\n hyper: {hyper:?}\n own:   {own:?}")),
    }
}

fn check(steps: &[Step]) -> (Run, Run) {
    compared(steps).unwrap_or_else(|difference| panic!("the engines differ: {difference}"))
}

const SIZES: [&[usize]; 5] = [&[usize::MAX], &[1], &[2, 3], &[17, 1, 64], &[1000]];

#[test]
fn every_difference_has_a_reason_and_explains_only_its_own() {
    assert!(DIFFERENCES.iter().all(|difference| difference.why.len() > 20));
    let came = Came { head: Some("200".into()), body: b"abc".to_vec(), again: true, ..Came::default() };
    for change in [
        |came: &mut Came| came.head = None,
        |came: &mut Came| came.body.push(b'd'),
        |came: &mut Came| came.again = false,
        |came: &mut Came| came.error = Some((Status::Truncated, Detail::None)),
        |came: &mut Came| came.informational.push("103".into()),
        |came: &mut Came| came.trailers = Some(vec![(b"a".to_vec(), b"b".to_vec())]),
    ] {
        let mut other = came.clone();
        change(&mut other);
        assert!(!agree(&came, &other) && !agree(&other, &came), "{other:?}");
    }
}

#[test]
fn every_vector_of_a_response() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for vector in VECTORS {
        let Side::Response(method @ ("GET" | "HEAD")) = vector.from else { continue };
        count += 1;
        for pieces in SIZES {
            let steps = [Step { method, pieces: pieces.to_vec(), ..Step::get(&vector.bytes()) }];
            wrong.extend(compared(&steps).err().map(|difference| format!("{}: {difference}", vector.name)));
        }
    }
    assert!(count >= 60 && wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello";
const NONE: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n7\r\n, world\r\n0\r\nX-T: 1\r\nx-u: 2\r\nX-T: 3\r\n\r\n";
const HINTS: &[u8] =
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LAST: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
const OLD: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok";
const OLD_KEPT: &[u8] = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok";
const TO_THE_END: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nuntil the end";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nbytes";
const NOT_CHANGED: &[u8] = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n";
const REFUSED: &[u8] = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
const MANY: &[u8] =
    b"HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 B\r\n\r\nHTTP/1.1 103 C\r\n\r\nHTTP/1.1 103 D\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FOLDED: &[u8] = b"HTTP/1.1 200 OK\r\nX-A: b\r\n  c\r\nContent-Length: 0\r\n\r\n";

#[test]
fn one_after_another_on_a_connection() {
    let answers = [OK, NONE, CHUNKED, HINTS, OLD_KEPT, EMPTY, FOLDED, NOT_CHANGED];
    for pieces in SIZES {
        let steps = answers.map(|answer| Step { pieces: pieces.to_vec(), ..Step::get(answer) });
        let (hyper, own) = check(&steps);
        for run in [hyper, own] {
            assert!(
                run.came.len() == answers.len() && run.came.iter().all(|came| came.again && came.error.is_none()),
                "{run:?}"
            );
        }
    }
}

/// Each ends the connection, whatever follows.
#[test]
fn what_ends_a_connection() {
    let long = [&b"HTTP/1.1 200 OK\r\nX: "[..], &[b'x'; 5000], b"\r\nContent-Length: 0\r\n\r\n"].concat();
    let lines = [&b"HTTP/1.1 200 OK\r\n"[..], &b"X: y\r\n".repeat(21), b"Content-Length: 0\r\n\r\n"].concat();
    let stray = [OK, b"x"].concat();
    let two = [OK, OK].concat();
    // Its end is just where a first read may end.
    let even = b"HTTP/1.1 200 OK\r\nContent-Length: 2007\r\n\r\n";
    let later = [&even[..], &vec![b'y'; 2007], OK].concat();
    assert_eq!(even.len() + 2007, 2048);
    let all = [
        LAST,
        OLD,
        TO_THE_END,
        SWITCH,
        MANY,
        &OK[..OK.len() - 1],
        &CHUNKED[..80],
        b"",
        &OK[..20],
        &long,
        &lines,
        &stray,
        &two,
        &later,
    ];
    for answer in all {
        for pieces in SIZES {
            let (hyper, own) = check(&[Step { pieces: pieces.to_vec(), ..Step::get(answer) }, Step::get(OK)]);
            assert!(hyper.came.len() == 1 && own.came.len() == 1, "{}", answer.escape_ascii());
        }
    }
    let closing = Step { closes: true, ..Step::get(OK) };
    assert!(!check(&[closing, Step::get(OK)]).1.came[0].again);
}

/// A connection that rests is watched: what comes then, or the end, ends it though nobody uses it.
#[test]
fn a_connection_that_rests_is_watched() {
    for kind in [EngineKind::Hyper, EngineKind::H1] {
        for answer in [OK, NONE, CHUNKED, EMPTY] {
            for late in [&b""[..], b"x", OK] {
                let came = RUNTIME.with(|runtime| runtime.block_on(rests_until(kind, answer, late)));
                assert_eq!(came, (true, true), "{kind:?} {} {}", answer.escape_ascii(), late.escape_ascii());
            }
        }
    }
}

/// Its server knows no chunks; a body whose length is said can follow.
#[test]
fn no_chunks_follow_an_answer_of_http_1_0() {
    let post = |sent: Sent| Step { method: "POST", sent, ..Step::get(OK) };
    let (hyper, own) = check(&[Step::get(OLD_KEPT), post(Sent::Bytes(9000)), post(Sent::Chunks(vec![10]))]);
    assert_eq!((hyper.asked.len(), own.asked.len(), own.came.len()), (3, 3, 3), "what came last was of HTTP/1.1");
    for run in <[Run; 2]>::from(check(&[Step::get(OLD_KEPT), post(Sent::Chunks(vec![10]))])) {
        assert_eq!((run.asked.len(), run.came.len()), (1, 2), "{run:?}");
        assert_eq!((run.came[1].error, run.came[1].again), (Some((Status::Closed, Detail::None)), false));
    }
}

#[test]
fn bodies_that_are_sent() {
    let bodies = [
        Sent::Bytes(1),
        Sent::Bytes(5000),
        Sent::Bytes(9000),
        Sent::Bytes(3 << 20),
        Sent::Chunks(vec![]),
        Sent::Chunks(vec![1, 1, 1]),
        Sent::Chunks(vec![10, 20_000, 1, 300_000]),
    ];
    for sent in bodies {
        let step = |answer| Step { method: "POST", sent: sent.clone(), ..Step::get(answer) };
        let (hyper, own) = check(&[step(OK), step(CHUNKED), step(LAST)]);
        assert!(hyper.asked.len() == 3 && own.asked.iter().all(|asked| asked.2), "{own:?}");
    }
}

#[test]
fn a_body_that_waits_to_be_asked_for() {
    let go_on = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
    for sent in [Sent::Bytes(10), Sent::Bytes(1 << 20), Sent::Chunks(vec![5, 70_000])] {
        let step = Step { method: "PUT", sent, expects: true, ..Step::get(OK) };
        let asked = Step { at_once: go_on.clone(), ..step.clone() };
        assert!(check(&[asked.clone(), asked]).1.came[1].again);
        // It is not asked for, and no other request can follow half of one.
        let refused = Step { at_once: b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n".to_vec(), ..step };
        assert!(!check(&[refused]).1.came[0].again);
    }
}

/// A server that answers early: the rest goes on as long as the response is read, and the connection ends with it.
#[test]
fn answers_that_come_early() {
    for answer in [REFUSED, OK, CHUNKED, EMPTY, TO_THE_END] {
        let step = Step { method: "POST", sent: Sent::Bytes(8 << 20), at_once: answer.to_vec(), ..Step::get(b"") };
        assert!(!check(&[step]).1.came[0].again, "{}", answer.escape_ascii());
    }
    // All of it had gone before.
    let step = Step { method: "POST", sent: Sent::Bytes(100), at_once: OK.to_vec(), ..Step::get(b"") };
    assert!(check(&[step.clone(), step]).1.came[1].again);
}

/// Whatever the pieces are in which it comes, all up to the limit is handed on first.
#[test]
fn a_body_that_is_too_large_comes_up_to_its_limit() {
    for (answer, body) in [(CHUNKED, &b"hello, world"[..]), (TO_THE_END, b"until the end")] {
        for pieces in SIZES {
            for most in [0, 1, 4, 5, 6, 11, 12, 13] {
                let step = Step { pieces: pieces.to_vec(), most, ..Step::get(answer) };
                for run in RUNTIME.with(|runtime| runtime.block_on(both(&[step]))) {
                    let (fits, came) = (body.len() as u64 <= most, &run.came[0]);
                    assert_eq!(came.error.is_none(), fits, "{most} of {pieces:?}: {run:?}");
                    assert_eq!(came.body, body[..body.len().min(most as usize)], "{most} of {pieces:?}");
                    assert!(fits || came.error == Some((Status::BodyTooLarge, Detail::None)), "{run:?}");
                }
            }
        }
    }
    // One that says so is refused at its head.
    let step = Step { most: 4, ..Step::get(OK) };
    for run in RUNTIME.with(|runtime| runtime.block_on(both(&[step]))) {
        assert_eq!((&run.came[0].body[..], run.came[0].error), (&b""[..], Some((Status::BodyTooLarge, Detail::None))));
    }
}

/// What came together is handed on together, and then what came after it: the trailers, the end, or what is wrong. Each piece is as it was sent.
#[test]
fn short_chunks_are_joined_and_what_follows_them_is_kept() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bytes: Vec<u8> = (0..8000u32).map(|at| b'a' + (at % 26) as u8).collect();
    let crumbs: Vec<u8> = bytes.iter().flat_map(|byte| [b'1', b'\r', b'\n', *byte, b'\r', b'\n']).collect();
    let large = [&b"1f40\r\n"[..], &bytes, b"\r\n"].concat();
    for (body, copies, most) in [(&crumbs, 1, 6), (&large, 1, 3), (&[&crumbs[..], &large, &crumbs].concat(), 3, 12)] {
        for (end, trailers, wanted) in [
            (&b"0\r\nA: b\r\nC: d\r\n\r\n"[..], Some(2), None),
            (b"0\r\n\r\n", None, None),
            (b"", None, Some((Status::Truncated, Detail::None))),
            (b"5\r\nhell", None, Some((Status::Truncated, Detail::None))),
            (b"x\r\n", None, Some((Status::HttpProtocol, Detail::BadChunk))),
        ] {
            let answer = [HEAD, body, end].concat();
            let (pieces, came, ended) = RUNTIME.with(|runtime| runtime.block_on(pieces(EngineKind::H1, &answer)));
            let ended = ended.err().map(|error| (error.status, error.detail));
            assert_eq!((came, ended), (trailers, wanted), "{}", end.escape_ascii());
            let hell = if end.ends_with(b"hell") { &b"hell"[..] } else { b"" };
            assert!(pieces.concat() == [&bytes.repeat(copies)[..], hell].concat(), "{}", end.escape_ascii());
            assert!(pieces.len() <= most, "{} pieces", pieces.len());
        }
    }
}

/// Answers as they are, joined, cut and bent.
fn bent(random: &mut Random) -> Vec<u8> {
    let vectors: Vec<_> = VECTORS.iter().filter(|vector| matches!(vector.from, Side::Response(_))).collect();
    let seeds =
        [OK, NONE, CHUNKED, HINTS, LAST, OLD, OLD_KEPT, TO_THE_END, SWITCH, NOT_CHANGED, REFUSED, MANY, EMPTY, FOLDED];
    let mut data = match random.next(3) {
        0 => random.pick(&vectors).bytes(),
        _ => random.pick(&seeds).to_vec(),
    };
    let bends = if random.once_in(2) { 0 } else { 1 + random.next(3) };
    for _ in 0..bends {
        let at = random.next(data.len());
        match random.next(6) {
            0 if !data.is_empty() => data[at] ^= 1 << random.next(8),
            1 if !data.is_empty() => data[at] = b"\r\n \0:;=,\"\xff0"[random.next(11)],
            2 => data.truncate(at),
            3 => drop(data.drain(at..(at + random.next(30)).min(data.len()))),
            4 => data
                .splice(
                    at..at,
                    random.pick(&[&b"\r\n"[..], b"0\r\n\r\n", b"Connection: close\r\n", b"\t"]).iter().copied(),
                )
                .for_each(drop),
            _ => {
                let other = random.pick(&seeds);
                let from = random.next(other.len());
                data.splice(at..at, other[from..(from + random.next(60)).min(other.len())].iter().copied());
            }
        }
    }
    data
}

fn random_step(random: &mut Random) -> Step {
    let sent = match random.next(6) {
        0 => Sent::Bytes(random.next(10_000)),
        1 => Sent::Chunks((0..random.next(4)).map(|_| 1 + random.next(3000)).collect()),
        _ => Sent::Nothing,
    };
    let method = match sent {
        Sent::Nothing => random.pick(&["GET", "GET", "HEAD", "OPTIONS"]),
        _ => random.pick(&["POST", "PUT"]),
    };
    let pieces = (0..1 + random.next(3)).map(|_| random.pick(&[1, 2, 7, 30, 500, usize::MAX])).collect();
    Step { method, sent, closes: random.once_in(10), pieces, ..Step::get(&bent(random)) }
}

#[test]
fn any_bytes_in_any_pieces() {
    let seconds = std::env::var("ATLS_ENGINES_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(5));
    let seed = std::env::var("ATLS_ENGINES_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(16);
    let (mut random, mut rounds, mut kept) = (Random(seed), 0, 0);
    while Instant::now() < end || rounds < 300 {
        let steps: Vec<_> = (0..1 + random.next(3)).map(|_| random_step(&mut random)).collect();
        let (_, own) = compared(&steps).unwrap_or_else(|difference| panic!("round {rounds} differs: {difference}"));
        kept += own.came.iter().filter(|came| came.again).count();
        rounds += 1;
    }
    assert!(kept * 10 > rounds, "{kept} connections of {rounds} were used again: the generator is too wild");
    println!("{rounds} rounds, {kept} times the connection was used again");
}
