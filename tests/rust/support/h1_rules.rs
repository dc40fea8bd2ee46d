//! The rules of HTTP/1.1 that the vectors are cases of: what docs/strictness.md has its tables from. Data and nothing else.
#![allow(dead_code)]

use atls::error::Detail;

/// Where the client names another detail than the machine.
pub const CLIENT_DETAILS: &[(&str, Detail)] = &[
    ("rs-unasked-101", Detail::UnaskedUpgrade),
    ("rs-204-te", Detail::UnexpectedBody),
    ("rs-204-cl", Detail::UnexpectedBody),
    ("rs-103-te", Detail::UnexpectedBody),
    ("rs-103-cl", Detail::UnexpectedBody),
];

/// A rule in words, where the RFC has it, and the vectors that are cases of it. Those without flags are judged alike.
pub struct Rule {
    pub says: &'static str,
    pub rfc: &'static str,
    pub cases: &'static [&'static str],
}

const fn rule(says: &'static str, rfc: &'static str, cases: &'static [&'static str]) -> Rule {
    Rule { says, rfc, cases }
}

/// Tables by their names in the page.
#[rustfmt::skip]
pub const TABLES: &[(&str, &[Rule])] = &[
    ("request-line", &[
        rule("One CRLF before the request line is skipped", "9112 §2.2", &["head-leading-crlf", "head-leading-crlf-h11"]),
        rule("More than one, or a lone CR or LF, before the request line", "9112 §2.2", &["head-two-leading-crlf", "head-leading-cr", "head-leading-lf", "head-only-lf"]),
        rule("Anything but one SP between method, target and version, or anything around them", "9112 §3", &[
            "rl-leading-space", "rl-tab", "rl-trailing-space", "rl-space-in-target", "rl-2sp", "rl-empty-target", "rl-no-version", "rl-tls-hello"]),
        rule("A method that is not a token", "9110 §9.1", &["rl-bad-method"]),
        rule("A control character in the target", "9112 §3.2", &["rl-ctl-target", "rl-nul-target", "rl-del-target"]),
        rule("Bytes beyond ASCII in the target are passed on as they are", "9112 §3.2", &["rl-8bit-target", "rl-utf8-target", "rl-utf8-target-h11"]),
        rule("A fragment in the target is passed on", "9112 §3.2", &["rl-fragment"]),
        rule("A target in absolute form", "9112 §3.2.2", &["rl-absolute"]),
        rule("A version that is not `HTTP/`, a digit, a dot and a digit", "9112 §2.3", &["rl-v1.10", "rl-lowercase-http"]),
        rule("A version other than 1.0 and 1.1", "9110 §15.6.6", &["rl-v0.9", "rl-v1.2", "rl-v2.0"]),
    ]),
    ("request-fields", &[
        rule("A lone LF at the end of a line", "9112 §2.2", &["bare-lf-strict", "bare-lf-allowed", "bare-lf-mixed-strict", "bare-lf-mixed-allowed"]),
        rule("A lone CR", "9112 §2.2", &["hdr-bare-cr-value", "hdr-bare-cr-smuggle", "hdr-crcrlf", "hdr-lf-crlf-crx"]),
        rule("A head whose lines end with CR alone", "9112 §2.2", &["head-all-cr"]),
        rule("NUL or VT in a value", "9110 §5.5", &["hdr-nul", "hdr-vt"]),
        rule("Another control character in a value", "9110 §5.5", &["ctl-value-strict", "ctl-value-allowed"]),
        rule("A line without a colon", "9112 §5", &["hdr-no-colon"]),
        rule("A name that is empty or not a token", "9110 §5.1", &["hdr-empty-name", "hdr-space-in-name", "hdr-name-paren", "hdr-name-8bit", "hdr-name-nul"]),
        rule("SP or HTAB between name and colon", "9112 §5.1", &["hdr-space-before-colon", "te-space-colon", "te-tab-colon"]),
        rule("A continued line (obs-fold)", "9112 §5.2", &["obs-fold-strict", "obs-fold-allowed"]),
        rule("Content-Length, Transfer-Encoding or Host continued on the next line", "9112 §5.2", &["cl-obsfold-split", "te-obsfold", "host-obsfold"]),
        rule("White space before the first field", "9112 §2.2", &["hdr-leading-ws-first"]),
        rule("Bytes beyond ASCII and HTAB within a value", "9110 §5.5", &["hdr-obstext", "hdr-tab-inside"]),
        rule("An empty value, and SP or HTAB around a value, which is removed", "9112 §5.1", &["hdr-empty-value", "hdr-ows"]),
        rule("An unknown expectation is passed on", "9110 §10.1.1", &["expect-other"]),
    ]),
    ("host", &[
        rule("HTTP/1.1 without Host", "9112 §3.2", &["host-missing"]),
        rule("HTTP/1.0 without Host", "9112 §3.2", &["host-missing-1.0"]),
        rule("More than one Host, in either version", "9112 §3.2", &["host-twice", "host-twice-1.0"]),
        rule("A value that is not a host with an optional port", "9110 §7.2", &[
            "host-space", "host-slash", "host-at", "host-port", "host-2colon", "host-bracket", "host-bracket-junk", "host-not-v6", "host-percent"]),
        rule("An empty value, names, IP literals, an empty port", "9110 §7.2", &["host-empty", "host-name", "host-v6", "host-port-empty", "host-escaped", "host-future"]),
    ]),
    ("request-length", &[
        rule("A Content-Length that is not digits", "9112 §6.3", &["cl-plus", "cl-minus", "cl-hex", "cl-empty", "cl-inner-space", "cl-underscore"]),
        rule("More than 2^63 - 1, or more than 20 digits", "9112 §6.3", &["cl-too-big", "cl-21-digits"]),
        rule("Leading zeros", "9110 §8.6", &["base-cl", "cl-leading-zeros"]),
        rule("Several fields whose values differ, byte by byte", "9112 §6.3", &["cl-dup-diff", "cl-dup-05"]),
        rule("Several fields with the same value", "9112 §6.3", &["cl-equal-strict", "cl-equal-allowed"]),
        rule("A list of values that differ", "9112 §6.3", &["cl-list-diff"]),
        rule("A list of equal values", "9112 §6.3", &["cl-equal-list-strict", "cl-equal-list-allowed"]),
        rule("A list with an empty member", "9112 §6.3", &["cl-trailing-comma", "cl-comma"]),
        rule("Content-Length beside Transfer-Encoding", "9112 §6.1", &["cl+te", "te+cl", "cl-with-te-strict", "cl-with-te-allowed"]),
        rule("Transfer-Encoding is `chunked`, once, in any case", "9112 §6.1", &["base-chunked", "te-case"]),
        rule("Any other coding, list, parameter or repetition of Transfer-Encoding", "9112 §6.1", &[
            "te-identity", "te-identity+cl", "te-chunked-gzip", "te-gzip-chunked", "te-dup-chunked-identity", "te-dup-chunked", "te-xchunked", "te-param", "te-empty",
            "te-trailing-comma", "te-quoted"]),
        rule("A control character in Transfer-Encoding", "9110 §5.5", &["te-vt", "te-ff-trail", "te-nul"]),
        rule("Transfer-Encoding in HTTP/1.0", "9112 §6.1", &["te-1.0"]),
        rule("`Transfer_Encoding` is another field", "9110 §5.1", &["te-underscore"]),
        rule("A body of any method, so of GET", "9110 §9.3.1", &["get-with-cl"]),
    ]),
    ("request-chunks", &[
        rule("A size that is not hexadecimal digits", "9112 §7.1", &[
            "ck-leading-sp", "ck-empty-size", "ck-only-ext", "ck-0x", "ck-plus", "ck-minus", "ck-underscore", "ck-size-garbage", "ck-size-nul"]),
        rule("More than 2^63 - 1, or more than 20 digits", "9112 §7.1", &["ck-too-big", "ck-21-digits"]),
        rule("Digits of either case, leading zeros, any number of zeros in the last chunk", "9112 §7.1", &["ck-upper", "ck-20-zeros", "ck-last-000"]),
        rule("SP or HTAB at the end of the size", "9112 §7.1", &["chunk-ows-strict", "chunk-ows-allowed"]),
        rule("A size line, or data, that ends with a lone LF or CR", "9112 §7.1", &["ck-size-lf", "ck-size-cr", "ck-last-lf", "ck-footer-lf"]),
        rule("Anything but CRLF after the data", "9112 §7.1", &["ck-footer-garbage", "ck-footer-long", "ck-footer-missing", "ck-footer-cr-garbage"]),
        rule("Extensions that follow the grammar", "9112 §7.1.1", &["ck-ext", "ck-ext-quoted"]),
        rule("SP or HTAB around the `;` and `=` of an extension", "9112 §7.1.1", &["ck-sp-ext", "ck-sp-ext-h11", "ck-ext-bws"]),
        rule("Extensions that do not follow the grammar", "9112 §7.1.1", &[
            "ck-ext-words", "ck-ext-empty", "ck-ext-no-name", "ck-ext-no-value", "ck-ext-open-quote", "ck-ext-open-escape", "ck-ext-after-quote", "ck-ext-words-h11"]),
        rule("SP at the end of an extension", "9112 §7.1.1", &["ck-ext-trailing-sp"]),
        rule("Words without a `;`", "9112 §7.1.1", &["ck-ext-no-semicolon"]),
        rule("A control character in an extension", "9112 §7.1.1", &["ck-ext-lf", "ck-ext-lf-termext", "ck-ext-cr", "ck-ext-nul", "ck-ext-del"]),
        rule("The connection ends within a chunk or before the last CRLF", "9112 §8", &["ck-eof-in-data", "ck-missing-final-crlf"]),
    ]),
    ("request-trailers", &[
        rule("Trailers are header fields", "9112 §7.1.2", &["tr-basic"]),
        rule("What is refused in a head is refused here", "9112 §7.1.2", &["tr-space-colon", "tr-nul", "tr-nocolon", "tr-cr-garbage"]),
        rule("A lone LF", "9112 §7.1.2", &["tr-lf", "tr-lf-first"]),
        rule("A continued line", "9112 §5.2", &["tr-fold", "tr-fold-first"]),
        rule("Content-Length, Transfer-Encoding or Host", "9110 §6.5.1", &["tr-cl", "tr-te", "tr-host"]),
    ]),
    ("status-line", &[
        rule("A CRLF before the status line", "9112 §2.2", &["rs-leading-crlf"]),
        rule("A version that is not `HTTP/`, a digit, a dot and a digit", "9112 §2.3", &["rs-icy", "rs-lowercase-http"]),
        rule("A version other than 1.0 and 1.1", "9112 §2.3", &["rs-v2", "rs-v1.2"]),
        rule("Anything but one SP between version and status", "9112 §4", &["rs-2sp", "rs-tab"]),
        rule("A status that is not three digits, or is less than 100", "9110 §15", &["rs-status-99", "rs-status-099", "rs-status-1000"]),
        rule("Statuses up to 999", "9110 §15", &["rs-status-600", "rs-status-999"]),
        rule("No reason, an empty one, or one with bytes beyond ASCII", "9112 §4", &["rs-no-reason", "rs-empty-reason", "rs-reason-8bit"]),
        rule("NUL in the reason", "9112 §4", &["rs-nul-reason"]),
        rule("101 that nobody asked for", "9110 §15.2.2", &["rs-unasked-101"]),
    ]),
    ("response-fields", &[
        rule("A lone LF at the end of a line", "9112 §2.2", &["rs-bare-lf"]),
        rule("A lone CR in the status line", "9112 §2.2", &["rs-bare-cr"]),
        rule("A control character in a value", "9110 §5.5", &["rs-value-ctl"]),
        rule("Bytes beyond ASCII in a value", "9110 §5.5", &["rs-value-obstext"]),
        rule("A line without a colon", "9112 §5", &["rs-no-colon"]),
        rule("A name that is empty or not a token", "9110 §5.1", &["rs-empty-name", "rs-name-8bit"]),
        rule("SP between name and colon", "9112 §5.1", &["rs-space-colon"]),
        rule("A continued line is unfolded", "9112 §5.2", &["rs-fold"]),
        rule("Content-Length or Transfer-Encoding continued on the next line", "9112 §5.2", &["rs-cl-obsfold", "rs-te-obsfold"]),
        rule("White space before the first field", "9112 §2.2", &["rs-fold-first"]),
        rule("The connection ends within the head", "9112 §8", &["rs-eof-in-head"]),
    ]),
    ("response-length", &[
        rule("Content-Length as in requests", "9112 §6.3", &["rs-cl", "rs-cl-05"]),
        rule("A Content-Length that is not digits", "9112 §6.3", &["rs-cl-plus", "rs-cl-empty", "rs-cl-hex"]),
        rule("More than 2^63 - 1", "9112 §6.3", &["rs-cl-too-big"]),
        rule("Several fields whose values differ, byte by byte", "9112 §6.3", &["rs-cl-diff", "rs-cl-5-05"]),
        rule("Several fields with the same value", "9112 §6.3", &["rs-cl-equal"]),
        rule("A list of equal values", "9112 §6.3", &["rs-cl-list"]),
        rule("A list with an empty member", "9112 §6.3", &["rs-cl-trailing-comma"]),
        rule("Content-Length beside Transfer-Encoding, even if there is no body", "9112 §6.1", &["rs-cl-te", "rs-304-both"]),
        rule("Transfer-Encoding is `chunked`, once, in any case", "9112 §6.1", &["rs-chunked", "rs-te-case"]),
        rule("Any other coding, list or repetition of Transfer-Encoding", "9112 §6.1", &["rs-te-gzip", "rs-te-twice", "rs-te-identity", "rs-te-empty"]),
        rule("Transfer-Encoding in HTTP/1.0", "9112 §6.1", &["rs-te-1.0"]),
        rule("Without a length the body ends with the connection", "9112 §6.3", &["rs-until-close", "rs-until-close-1.0"]),
        rule("The answer to HEAD, and 304, have no body, whatever length they name", "9112 §6.3", &["rs-head-cl", "rs-head-te", "rs-304-cl", "rs-304-te"]),
        rule("204 has no body, whatever length it names", "9112 §6.3", &["rs-204-cl", "rs-204-te"]),
        rule("1xx has no body, whatever length it names", "9112 §6.3", &["rs-103-cl", "rs-103-te"]),
        rule("Informational responses before the final one", "9110 §15.2", &["rs-100-200", "rs-two-1xx"]),
        rule("The connection ends before the length is reached", "9112 §8", &["rs-cl-short"]),
    ]),
    ("response-chunks", &[
        rule("A size that is not hexadecimal digits", "9112 §7.1", &["rs-ck-leading-sp"]),
        rule("More than 2^63 - 1, or more than 20 digits", "9112 §7.1", &["rs-ck-too-big", "rs-ck-21-digits"]),
        rule("SP or HTAB at the end of the size", "9112 §7.1", &["rs-ck-sp"]),
        rule("A size line that ends with a lone LF", "9112 §7.1", &["rs-ck-size-lf"]),
        rule("Anything but CRLF after the data", "9112 §7.1", &["rs-ck-footer"]),
        rule("Extensions that follow the grammar", "9112 §7.1.1", &["rs-ck-ext"]),
        rule("SP or HTAB around the `;` and `=` of an extension", "9112 §7.1.1", &["rs-ck-ext-bws"]),
        rule("A control character in an extension", "9112 §7.1.1", &["rs-ck-ext-nul"]),
        rule("The connection ends within a chunk or before the last CRLF", "9112 §8", &["rs-ck-eof", "rs-ck-eof-last"]),
        rule("Trailers are header fields", "9112 §7.1.2", &["rs-tr"]),
        rule("Content-Length or Transfer-Encoding in trailers", "9110 §6.5.1", &["rs-tr-cl", "rs-tr-te"]),
        rule("A lone LF or a continued line in trailers", "9112 §7.1.2", &["rs-tr-lf", "rs-tr-fold"]),
    ]),
];
