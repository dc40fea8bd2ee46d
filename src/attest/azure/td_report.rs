//! The TDREPORT in the paravisor's report (Intel TDX module specification, TDREPORT_STRUCT). Nothing of it is believed: its seal is for the machine alone. It
//! is there to be compared with the quote that was made of it. Pure.

use std::ops::Range;

/// Bytes of a TDREPORT; behind it there are zeros.
const LENGTH: usize = 1024;
/// `REPORTTYPE`: a trust domain, and no sub-type.
const KIND: [u8; 2] = [0x81, 0];

/// What both have: name, where it is in the TDREPORT, and where in the body of the quote.
const FIELDS: [(&str, usize, Range<usize>); 14] = [
    ("TEE_TCB_SVN", 264, 0..16),
    ("MRSEAM", 280, 16..64),
    ("MRSIGNERSEAM", 328, 64..112),
    ("SEAMATTRIBUTES", 376, 112..120),
    ("ATTRIBUTES", 512, 120..128),
    ("XFAM", 520, 128..136),
    ("MRTD", 528, 136..184),
    ("MRCONFIGID", 576, 184..232),
    ("MROWNER", 624, 232..280),
    ("MROWNERCONFIG", 672, 280..328),
    ("RTMR0", 720, 328..376),
    ("RTMR1", 768, 376..424),
    ("RTMR2", 816, 424..472),
    ("RTMR3", 864, 472..520),
];
const REPORT_DATA: Range<usize> = 128..192;

/// What the guest's paravisor has put into it.
pub fn report_data(report: &[u8]) -> Option<[u8; 64]> {
    report.get(REPORT_DATA)?.try_into().ok()
}

/// Whether the quote with that body was made of that report, whose report data is compared with what it must be; the error names the first difference.
pub fn check(report: &[u8], body: &[u8]) -> Result<(), String> {
    if report.len() < LENGTH || report[LENGTH..].iter().any(|byte| *byte != 0) || report[..2] != KIND {
        return Err("no TDREPORT".into());
    }
    for (name, at, range) in FIELDS {
        if body.get(range.clone()) != report.get(at..at + range.len()) {
            return Err(format!("another {name}"));
        }
    }
    Ok(())
}
