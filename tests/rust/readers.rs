//! What the fuzz targets look for in those who read bytes of strangers, looked for in every run of the tests as well: seeds, and what they become.

#[path = "support/device_readers.rs"]
mod device_readers;
#[path = "support/random.rs"]
mod random;
#[path = "support/readers.rs"]
mod readers;

use random::Random;

/// Every seed as it is and cut anywhere, then bent; the generator is seeded, so that a failure repeats.
fn bent(seeds: &[&[u8]], rounds: usize, play: impl Fn(&[u8])) {
    let rounds = std::env::var("ATLS_ROBUST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(rounds);
    seeds.iter().for_each(|seed| play(seed));
    let random = &mut Random(99);
    for _ in 0..rounds {
        let mut data = random.pick(seeds).to_vec();
        for _ in 0..=random.next(3) {
            let at = random.next(data.len());
            match random.next(5) {
                0 if !data.is_empty() => data[at] ^= 1 << random.next(8),
                1 if !data.is_empty() => data[at] = b"\r\n \0:;=,\"\xff0"[random.next(11)],
                2 => data.truncate(at),
                3 => drop(data.drain(at..(at + random.next(30)).min(data.len()))),
                _ => {
                    let other = random.pick(seeds);
                    let from = random.next(other.len());
                    data.splice(at..at, other[from..(from + random.next(60)).min(other.len())].iter().copied());
                }
            }
        }
        play(&data);
    }
}

#[test]
fn bent_responses_end_in_an_error_or_a_body() {
    let seeds: [&[u8]; 7] = [
        b"\0HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 204 No Content\r\n\r\n",
        b"\0HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n",
        b"\x04HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 23\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\x02\x03\x4b\x4c\x4a\x06\0\xc2\x41\x24\x35\x03\0\0\0",
        b"\0HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"\x01HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        b"\x02HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n",
        b"\0HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nbytes",
    ];
    bent(&seeds, 1500, readers::client);
}

#[test]
fn bent_requests_end_in_an_error_or_an_answer() {
    let seeds: [&[u8]; 5] = [
        b"\0GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"\0POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\nHEAD / HTTP/1.0\r\n\r\n",
        b"\x01POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 23\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\x02\x03\x4b\x4c\x4a\x06\0\xc2\x41\x24\x35\x03\0\0\0",
        b"\x02GET /?target=a.example:1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        b"\x02HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    bent(&seeds, 1500, readers::server);
}

#[test]
fn frames_of_a_tunnel() {
    let seeds: [&[u8]; 6] = [
        b"\x01\x82\x83\x01\x02\x03\x04abc\x89\x80\0\0\0\0\x88\x82\0\0\0\0\x03\xe8",
        b"\x02\x82\x03abc\x89\x04ping\x88\x05\x03\xe8bye",
        b"\x03\x01\x82\0\0\0\0\xc3\xa4\x80\x81\0\0\0\0x",
        b"\x01\x81\x02\xf0\x9f",
        b"\x05\x82\x7e\x01\0aaaa",
        b"\x05\x82\xff\0\0\0\0\0\x01\0\0\0\0\0\0begun",
    ];
    bent(&seeds, 3000, readers::tunnel);
}

#[test]
fn answers_on_the_way() {
    let seeds: [&[u8]; 7] = [
        b"\0HTTP/1.1 200 Connection established\r\n\r\n",
        b"\0HTTP/1.1 407 No\r\nProxy-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\nContent-Length: 0\r\n\r\n",
        b"\x01HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        b"\x01HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n",
        b"\x02HTTP/1.1 200 OK\r\nContent-Length: 62\r\n\r\n{\"quote\":\"0400\",\"event_log\":\"[]\",\"report_data\":\"\",\"vm_config\":\"\"}",
        b"\x02HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}",
        br#"{"atls_collateral_bundle":1,"objects":[{"key":"root_crl","body":"MAA=","chain":"","fetched":1},{"key":"tcb_info/00906ED50000/standard","body":"e30="}]}"#,
    ];
    let mut bundle = vec![3];
    bundle.extend_from_slice(seeds[6]);
    let seeds: Vec<&[u8]> = seeds[..6].iter().copied().chain([&bundle[..]]).collect();
    bent(&seeds, 1000, readers::answers);
}

#[test]
fn cookies_challenges_redirects_and_pem() {
    let seeds: [&[u8]; 6] = [
        b"\0a=1; Path=/x; Max-Age=10\nb=2; Secure; Domain=example\na=; Max-Age=0\n__Host-x=1; Path=/; Secure",
        b"\x01Digest realm=\"r\", qop=\"auth,auth-int\", nonce=\"n\", algorithm=SHA-256-sess, stale=true\nBasic realm=\"x\"",
        b"\x02/other\n?q\n//a.example/y\nhttps://a.example:443/z\n../w#f",
        b"\x02https://b.example/\nhttp://a.example/\njavascript:x\nhttps://user:password@a.example/",
        b"\x03-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
        b"\x03-----BEGIN CERTIFICATE-----\nnot base64",
    ];
    bent(&seeds, 3000, readers::fields);
}

#[test]
fn bent_codings_end_in_an_error_or_a_body() {
    let seeds: [&[u8]; 4] = [
        b"\0\x01\x1f\x8b\x08\0\0\0\0\0\x02\x03\x4b\x4c\x4a\x06\0\xc2\x41\x24\x35\x03\0\0\0\0\0\0",
        b"\x01\x02\x78\x9c\x4b\x4c\x4a\x06\0\x02\x4d\x01\x27",
        b"\x02\x03\x0b\x01\x80abc\x03",
        b"\x03\x01(\xb5/\xfd\x04X\x19\0\0abc\xd9h\x8f\x7b",
    ];
    bent(&seeds, 2000, readers::codings);
}

#[test]
fn answers_of_a_security_module() {
    let seeds: [&[u8]; 5] = [
        b"\xa1\x6bAttestation\xa1\x68document\x43abc",
        b"\xbf\x6bAttestation\xbf\x68document\x59\x01\x00aaaa\xff\xff",
        b"\xa1\x6bAttestation\xa2\x65later\x82\x01\xa1\x02\x03\x68document\x43abc",
        b"\xa1\x65Error\x6fInvalidArgument",
        b"\xa1\x69GetRandom\xa1\x66random\x41a",
    ];
    bent(&seeds, 3000, device_readers::nsm_response);
}

#[test]
fn tables_of_certificates() {
    let entry = |guid: &[u8], offset: u8, length: u8| [guid, &[offset, 0, 0, 0, length, 0, 0, 0]].concat();
    let vcek = b"\x63\xda\x75\x8d\xe6\x64\x45\x64\xad\xc5\xf4\xb9\x3b\xe8\xac\xcd";
    let vlek = b"\xa8\x07\x4b\xc2\xa2\x5a\x48\x3e\xaa\xe6\x39\xc0\x45\xa0\xb8\xa1";
    let both = [&entry(vcek, 72, 4)[..], &entry(vlek, 76, 4), &[0; 24], b"vcekvlek", &[0; 100]].concat();
    let one = [&entry(vlek, 48, 4)[..], &[0; 24], b"vlek"].concat();
    bent(&[&both, &one, &[0; 48]], 3000, device_readers::cert_table);
}

#[test]
fn answers_of_a_tpm() {
    let plain = |body: &[u8]| [b"\x80\x01", &(10 + body.len() as u32).to_be_bytes()[..], &[0; 4], body].concat();
    let authorized = |parameters: &[u8]| {
        let length = (parameters.len() as u32).to_be_bytes();
        let size = (10 + 4 + parameters.len() as u32 + 5).to_be_bytes();
        [b"\x80\x02", &size[..], &[0; 4], &length, parameters, &[0, 0, 1, 0, 0]].concat()
    };
    let registers =
        [b"\0\0\0\x07\0\0\0\x01\0\x0b\x03\x81\0\0\0\0\0\x02", &[&[0, 32][..], &[7; 32]].concat().repeat(2)[..]]
            .concat();
    let quote = [&b"\0\x03abc\0\x14\0\x0b\x01\0"[..], &[9; 256]].concat();
    let seeds = [
        plain(b"\0\x0e\x01\x40\0\x01\0\x0b\x62\x04\0\x02\0\0\x0a\x28\0\x02\0\x0b"),
        plain(&registers),
        authorized(b"\0\x02ab"),
        authorized(&quote),
        b"\x80\x01\0\0\0\x0a\0\0\x01\x8b".to_vec(),
    ];
    bent(&seeds.each_ref().map(|seed| &seed[..]), 5000, device_readers::tpm_response);
}
