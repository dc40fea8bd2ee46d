//! The members of comma-separated lists, across all header fields of one name. Pure.

use super::syntax;

/// The next member at or after `cursor`, and the cursor behind it. A cursor is 0 at first; then it is the index of a header field and, in its lower half,
/// the position in that field's value. So no byte is read twice.
pub fn member_after<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    name: &[u8],
    cursor: u64,
) -> Option<(&'a [u8], u64)> {
    let (mut index, mut from) = (cursor >> 32, (cursor & 0xffff_ffff) as usize);
    for (found, value) in fields.skip(usize::try_from(index).ok()?) {
        while found.eq_ignore_ascii_case(name) && from < value.len() {
            let comma = value[from..].iter().position(|&b| b == b',');
            let end = comma.map_or(value.len(), |comma| from + comma);
            let member = syntax::trimmed(&value[from..end]);
            from = end + 1;
            if !member.is_empty() {
                return Some((member, index << 32 | from.min(u32::MAX as usize) as u64));
            }
        }
        (index, from) = (index + 1, 0);
    }
    None
}

/// Whether a member is `token`, in any case.
pub fn has_member<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>, name: &[u8], token: &[u8]) -> bool {
    let mut named = fields.filter(|(found, _)| found.eq_ignore_ascii_case(name));
    named.any(|(_, value)| syntax::list(value).any(|member| member.eq_ignore_ascii_case(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_walks_through_all_fields_of_a_name() {
        let fields: [(&[u8], &[u8]); 4] = [(b"a", b"x,, y ,"), (b"b", b"no"), (b"A", b""), (b"a", b"z")];
        let (mut cursor, mut found) = (0, Vec::new());
        while let Some((member, after)) = member_after(fields.into_iter(), b"a", cursor) {
            found.push(member);
            assert!(std::mem::replace(&mut cursor, after) < after);
        }
        assert_eq!(found, [b"x", b"y", b"z"]);
        assert!(member_after(fields.into_iter(), b"a", u64::MAX).is_none());
        assert!(has_member(fields.into_iter(), b"A", b"Z") && !has_member(fields.into_iter(), b"a", b"no"));
    }
}
