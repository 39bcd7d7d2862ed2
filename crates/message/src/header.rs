//! Header blocks as octets: lines, fields, folds (RFC 5322 2.2).

/// The header block for `HEADER.FIELDS` and `HEADER.FIELDS.NOT` (RFC 9051 6.4.5.1): the fields of `header` whose name is
/// among `names`, or with `not` those whose name is not, as they stand, then an empty line.
///
/// Names are compared without case. Lines that are no field go with the fields that have none of the names.
pub fn fields(header: &[u8], names: &[impl AsRef<[u8]>], not: bool) -> Vec<u8> {
    let mut block = Vec::new();
    for field in Fields::new(header) {
        let named = field
            .name
            .is_some_and(|found| names.iter().any(|name| found.eq_ignore_ascii_case(name.as_ref())));
        if named != not {
            block.extend_from_slice(field.raw);
        }
    }
    if block.last().is_some_and(|last| *last != b'\n') {
        block.extend_from_slice(b"\r\n");
    }
    block.extend_from_slice(b"\r\n");
    block
}

/// One field of a header, with all of its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name; `None` for a line that is no field.
    pub name: Option<&'a [u8]>,
    /// What follows the colon, line ends included.
    pub value: &'a [u8],
    /// The whole field as it stands, line ends included.
    pub raw: &'a [u8],
}

/// The fields of a header in order, up to the empty line or the end.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Reads a header from its start.
    pub fn new(header: &'a [u8]) -> Self {
        Self { rest: header }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let mut lines = self.rest.split_inclusive(|octet| *octet == b'\n');
        let first = lines.next().filter(|line| !is_empty_line(line))?;
        let mut length = first.len();
        length += lines.take_while(|line| is_continuation(line)).map(<[u8]>::len).sum::<usize>();
        let (raw, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(match split_field(raw) {
            Some((name, value)) => Field { name: Some(name), value, raw },
            None => Field { name: None, value: raw, raw },
        })
    }
}

/// Name and value of a line that starts a field; `None` for a line that does not.
///
/// White space before the colon is let pass (RFC 5322 4.5.8).
pub(crate) fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|octet| *octet == b':')?;
    let (name, rest) = line.split_at_checked(colon)?;
    let name = trim_end(name);
    let valid = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    valid.then(|| (name, rest.get(1..).unwrap_or_default()))
}

/// True for a line of nothing but its end.
pub(crate) fn is_empty_line(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// True for a line that continues the field before it.
pub(crate) fn is_continuation(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// The value without line ends (RFC 5322 2.2.3): the white space of a fold stays, a bare CR is data.
pub(crate) fn unfold(value: &[u8]) -> Vec<u8> {
    let mut unfolded = Vec::with_capacity(value.len());
    for line in value.split_inclusive(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        unfolded.extend_from_slice(line);
    }
    unfolded
}

/// Without white space at either end.
pub(crate) fn trim(octets: &[u8]) -> &[u8] {
    trim_end(trim_start(octets))
}

/// Without white space at the start.
pub(crate) fn trim_start(octets: &[u8]) -> &[u8] {
    let start = octets.iter().position(|octet| !is_space(*octet)).unwrap_or(octets.len());
    octets.get(start..).unwrap_or_default()
}

/// Without white space at the end.
pub(crate) fn trim_end(octets: &[u8]) -> &[u8] {
    let end = octets.iter().rposition(|octet| !is_space(*octet)).map_or(0, |last| last + 1);
    octets.get(..end).unwrap_or_default()
}

/// White space within a header or at the end of a line.
pub(crate) fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] =
        b"From: a@b\r\nSubject: one\r\n two\r\nX-Other : 3\r\ngarbage\r\nTo: c@d\r\n\r\nBody: x\r\n";

    #[test]
    fn fields_are_filtered_with_their_folds() {
        assert_eq!(fields(HEADER, &["subject", "TO"], false), b"Subject: one\r\n two\r\nTo: c@d\r\n\r\n");
        assert_eq!(fields(HEADER, &["subject", "to"], true), b"From: a@b\r\nX-Other : 3\r\ngarbage\r\n\r\n");
        assert_eq!(fields(HEADER, &["x-other"], false), b"X-Other : 3\r\n\r\n");
        assert_eq!(fields(HEADER, &["absent"], false), b"\r\n");
        assert_eq!(fields(b"", &["absent"], true), b"\r\n");
    }

    #[test]
    fn a_header_cut_short_still_gives_a_block_that_ends() {
        assert_eq!(fields(b"Subject: x", &["subject"], false), b"Subject: x\r\n\r\n");
        assert_eq!(fields(b"Subject: x\n y\nTo: z\n", &["subject"], false), b"Subject: x\n y\n\r\n");
    }

    #[test]
    fn unfolding_keeps_white_space_and_bare_carriage_returns() {
        assert_eq!(unfold(b" a\r\n\tb\n c\rd\r\n"), b" a\tb c\rd");
        assert_eq!(trim(b" \r\n a b \t"), b"a b");
        assert_eq!(trim(b"  "), b"");
    }
}
