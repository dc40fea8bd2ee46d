//! Forms however they are cut into pieces. Pure.

use super::*;

const TYPE: &[u8] = b"multipart/form-data; boundary=1234";

/// All parts with their bytes, fed in pieces of `step`.
fn read(content_type: &[u8], body: &[u8], step: usize) -> Result<Vec<(Part, Vec<u8>)>> {
    let mut parser = MultipartParser::new(content_type, MultipartLimits::default())?;
    let mut parts = Vec::new();
    let mut pieces = body.chunks(step.max(1));
    loop {
        match parser.next_event()? {
            Some(PartEvent::Part(part)) => parts.push((part, Vec::new())),
            Some(PartEvent::Data(data)) => parts.last_mut().unwrap().1.extend_from_slice(&data),
            Some(PartEvent::PartEnd) => {}
            Some(PartEvent::End) => return Ok(parts),
            None => match pieces.next() {
                Some(piece) => parser.push(piece),
                None => parser.end(),
            },
        }
    }
}

fn part(name: &str, file_name: Option<&str>, content_type: Option<&str>) -> Part {
    Part { name: name.into(), file_name: file_name.map(str::to_owned), content_type: content_type.map(str::to_owned) }
}

const DISPOSITION: &str = "Content-Disposition: form-data; name=";

#[test]
fn a_form_is_the_same_in_whatever_pieces_it_comes() {
    let body = format!(
        "--1234\r\n{DISPOSITION}\"a\"\r\n\r\n\r\n--1234\r\n{DISPOSITION}b; filename=\"x;\\\"y\\\\.txt\"\r\nContent-Type: text/plain\r\n\r\n\
         one\r\n--12345\r\n\r\n--123\r\n--1234\r\n{DISPOSITION}c\r\n\r\n\r\n\r\n--1234--\r\nand so on"
    );
    let wanted = [
        (part("a", None, None), b"".to_vec()),
        (part("b", Some("x;\"y\\.txt"), Some("text/plain")), b"one\r\n--12345\r\n\r\n--123".to_vec()),
        (part("c", None, None), b"\r\n".to_vec()),
    ];
    for step in (1..body.len() + 1).rev() {
        assert_eq!(read(TYPE, body.as_bytes(), step).unwrap(), wanted, "in pieces of {step}");
    }
    assert_eq!(read(b"Multipart/Form-Data; charset=x; boundary=\"1234\"", body.as_bytes(), 1000).unwrap(), wanted);
    assert!(read(TYPE, b"--1234--", 1).unwrap().is_empty());
}

#[test]
fn names_in_other_spellings() {
    for (parameters, wanted) in [
        ("filename*=UTF-8''%c3%a4b.txt; filename=plain.txt", "plain.txt"),
        ("filename*=UTF-8''%c3%a4b.txt", "\u{e4}b.txt"),
        ("filename=plain.txt; filename*=rot13''cynva", "plain.txt"),
        ("filename=\"a%22b.txt\"", "a%22b.txt"),
        ("filename=\"caf\u{e9}\"", "caf\u{e9}"),
        ("filename*=iso-8859-1'en'%a3", "\u{a3}"),
    ] {
        let body = format!("--1234\r\n{DISPOSITION}\"f\"; {parameters}\r\n\r\nx\r\n--1234--\r\n");
        let parts = read(TYPE, body.as_bytes(), 7).unwrap();
        assert_eq!(parts[0].0.file_name.as_deref(), Some(wanted), "{parameters}");
    }
}

#[test]
fn what_is_no_form_is_refused_with_the_reason() {
    let one = |head: &str| format!("--1234\r\n{head}\r\n\r\nx\r\n--1234--\r\n");
    let many = format!("--1234\r\n{DISPOSITION}a\r\n\r\nx\r\n",).repeat(101) + "--1234--";
    for (body, why) in [
        (String::new(), "last boundary"),
        ("--1234".into(), "last boundary"),
        ("--1234\r\n".into(), "last boundary"),
        (format!("--1234\r\n{DISPOSITION}a\r\n\r\nx"), "last boundary"),
        (format!("--1234\r\n{DISPOSITION}a\r\n\r\nx\r\n--1234"), "last boundary"),
        ("preamble".into(), "last boundary"),
        ("--1234x\r\n".into(), "last boundary"),
        ("preamble--1234--".into(), "last boundary"),
        (one(&format!("{DISPOSITION}a; filename*=utf-8''a; filename*=utf-8''b")), "duplicated"),
        (one("X: y"), "without Content-Disposition"),
        (one("no colon"), "no colon"),
        (one("Content-Disposition: attachment; name=a"), "not form-data"),
        (one("Content-Disposition: form-data"), "without a name"),
        (one("Content-Disposition: form-data; name=\"\""), "without a name"),
        (one(&format!("{DISPOSITION}a\r\n{DISPOSITION}b")), "two"),
        (one(&format!("{DISPOSITION}a; name=b")), "duplicated"),
        (one(&format!("{DISPOSITION}\"a\0b\"")), "control"),
        (one(&format!("X y: z\r\n{DISPOSITION}a")), "header name"),
        (one(&format!("X: {}\r\n{DISPOSITION}a", "y".repeat(11_000))), "larger"),
        (many, "more than 100 parts"),
    ] {
        for step in [1, 100_000] {
            let error = read(TYPE, body.as_bytes(), step).unwrap_err();
            assert!(error.message.contains(why) && error.http_status == 400, "{body:.60}: {error}");
        }
    }
    for content_type in [
        "",
        "text/plain",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary*=utf-8''1234",
        "multipart/form-dataxyz; boundary=1",
    ] {
        assert!(MultipartParser::new(content_type.as_bytes(), MultipartLimits::default()).is_err(), "{content_type}");
    }
}

#[test]
fn the_plain_name_and_boundary_count() {
    let body = format!("--1234\r\n{DISPOSITION}plain; name*=utf-8''other\r\n\r\nx\r\n--1234--");
    let content_type = b"multipart/form-data; boundary*=utf-8''other; boundary=1234";
    assert_eq!(read(content_type, body.as_bytes(), 9).unwrap(), [(part("plain", None, None), b"x".to_vec())]);
    let body = "--1234\r\nContent-Disposition: form-data; name*=utf-8''%c3%a4\r\n\r\nx\r\n--1234--";
    assert_eq!(read(TYPE, body.as_bytes(), 9).unwrap()[0].0.name, "\u{e4}");
}

#[test]
fn text_before_the_first_boundary_belongs_to_no_part() {
    let form = format!("--1234\r\n{DISPOSITION}a\r\n\r\nx\r\n--1234--");
    for before in [
        "\r\n",
        "\r\n\r\n",
        "This is MIME.\r\n",
        "--1234x\r\n",
        "--123\r\n--12345\r\n",
        "\r\n--1234 \r\n",
        "\r\n\r\n--1234-\r\n",
    ] {
        let body = [before, &form].concat();
        for step in (1..body.len() + 1).rev() {
            let found =
                read(TYPE, body.as_bytes(), step).unwrap_or_else(|error| panic!("{before:?} by {step}: {error}"));
            assert_eq!(found, [(part("a", None, None), b"x".to_vec())], "{before:?} in pieces of {step}");
        }
    }
    let long = ["x".repeat(100_000).as_str(), "\r\n", &form].concat();
    assert_eq!(read(TYPE, long.as_bytes(), 1000).unwrap().len(), 1);
}

#[test]
fn a_part_may_end_at_its_head() {
    let body = format!(
        "--1234\r\n{DISPOSITION}a\r\n\r\n--1234\r\n{DISPOSITION}b\r\n\r\n--12345\r\n--1234\r\n{DISPOSITION}c\r\n\r\n--1234--"
    );
    let wanted =
        [("a", &b""[..]), ("b", b"--12345"), ("c", b"")].map(|(name, data)| (part(name, None, None), data.to_vec()));
    for step in (1..body.len() + 1).rev() {
        assert_eq!(read(TYPE, body.as_bytes(), step).unwrap(), wanted, "in pieces of {step}");
    }
}
