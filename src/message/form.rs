//! Writes bodies of forms: application/x-www-form-urlencoded and multipart/form-data (RFC 7578). Pure; the random numbers for the boundary are the caller's.

/// One field of a form.
#[derive(Clone, Debug)]
pub struct FormField {
    pub name: String,
    pub value: Vec<u8>,
    /// If there is one, the field is a file.
    pub file_name: Option<String>,
    pub content_type: Option<String>,
}

/// Fields are urlencoded unless one is a file or has a content type.
fn is_plain(fields: &[FormField]) -> bool {
    fields.iter().all(|field| field.file_name.is_none() && field.content_type.is_none())
}

/// A boundary made of random numbers, so that a value cannot contain it on purpose.
pub fn boundary(random: [u8; 16]) -> String {
    format!("atls-{:032x}", u128::from_be_bytes(random))
}

pub fn content_type(fields: &[FormField], boundary: &str) -> String {
    match is_plain(fields) {
        true => "application/x-www-form-urlencoded".into(),
        false => format!("multipart/form-data; boundary={boundary}"),
    }
}

pub fn length(fields: &[FormField], boundary: &str) -> u64 {
    let mut length = 0;
    write(fields, boundary, |part| length += part.len() as u64);
    length
}

pub fn body(fields: &[FormField], boundary: &str) -> Vec<u8> {
    let mut body = Vec::new();
    write(fields, boundary, |part| body.extend_from_slice(part));
    body
}

fn write(fields: &[FormField], boundary: &str, mut out: impl FnMut(&[u8])) {
    if is_plain(fields) {
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                out(b"&");
            }
            form_urlencoded::byte_serialize(field.name.as_bytes()).for_each(|part| out(part.as_bytes()));
            out(b"=");
            form_urlencoded::byte_serialize(&field.value).for_each(|part| out(part.as_bytes()));
        }
        return;
    }
    for field in fields {
        let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(&field.name));
        if let Some(name) = &field.file_name {
            head += &format!("; filename=\"{}\"", quoted(name));
        }
        let default = field.file_name.as_ref().map(|_| "application/octet-stream");
        if let Some(kind) = field.content_type.as_deref().or(default) {
            head += &format!("\r\nContent-Type: {kind}");
        }
        out(head.as_bytes());
        out(b"\r\n\r\n");
        out(&field.value);
        out(b"\r\n");
    }
    out(format!("--{boundary}--\r\n").as_bytes());
}

/// As browsers do (WHATWG HTML, "multipart/form-data encoding algorithm"): names stay UTF-8, what would end them is percent-encoded.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &[u8], file: Option<&str>) -> FormField {
        FormField { name: name.into(), value: value.into(), file_name: file.map(str::to_owned), content_type: None }
    }

    #[test]
    fn a_form_with_a_file_is_multipart_and_else_urlencoded() {
        let plain = [field("a b", b"1&2=3", None), field("\u{e9}", b"\xff", None)];
        assert_eq!(content_type(&plain, "B"), "application/x-www-form-urlencoded");
        assert_eq!(body(&plain, "B"), b"a+b=1%262%3D3&%C3%A9=%FF");
        let with_file = [field("a", b"1", None), field("f\"\r\n", b"\0\r\n--", Some("x.bin"))];
        assert_eq!(content_type(&with_file, "B"), "multipart/form-data; boundary=B");
        let expected = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; \
             name=\"f%22%0D%0A\"; filename=\"x.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n\0\r\n--\r\n--B--\r\n";
        assert_eq!(body(&with_file, "B"), expected.as_bytes());
        assert_eq!(length(&with_file, "B"), expected.len() as u64);
    }
}
