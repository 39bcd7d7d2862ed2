//! Dates: the `Date` field of a message (RFC 5322 3.3) and what both kinds of date share.

use jiff::civil;
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Serialize};

/// When a message says it was sent: its `Date` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SentDate {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Minutes east of UTC of the clock that the date was read from.
    pub offset_minutes: i16,
}

impl SentDate {
    /// Reads a date tolerantly: the day of the week, seconds and zone may be missing, years may have two digits.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let words = words(value);
        let mut words = words.iter().map(Vec::as_slice).peekable();
        words.next_if(|word| word.first().is_some_and(u8::is_ascii_alphabetic) && month(word).is_none());
        let first = words.next()?;
        let second = words.next()?;
        // RFC 5322 has the day first; the order of asctime is met, too.
        let (day, month) = match month(second) {
            Some(month) => (number(first, 2)?, month),
            None => (number(second, 2)?, month(first)?),
        };
        let third = words.next()?;
        if third.contains(&b':') {
            // asctime: the time, then perhaps a zone, then the year.
            let rest: Vec<&[u8]> = words.collect();
            let year = rest.iter().rev().find_map(|word| year(word))?;
            let zone = rest.first().and_then(|word| zone(word)).unwrap_or(0);
            return assemble(year, month, day, third, zone);
        }
        let year = year(third)?;
        let time = words.next().unwrap_or(b"00:00");
        let zone = words.next().and_then(zone).unwrap_or(0);
        assemble(year, month, day, time, zone)
    }

    /// The calendar day in the zone of the date, which is what `SENTBEFORE`, `SENTON` and `SENTSINCE` compare.
    pub fn local_date(self) -> civil::Date {
        local(self.seconds, self.offset_minutes).date()
    }
}

fn assemble(year: i16, month: i8, day: i16, time: &[u8], offset_minutes: i16) -> Option<SentDate> {
    let mut parts = time.split(|octet| *octet == b':');
    let hour = i8::try_from(number(parts.next()?, 2)?).ok()?;
    let minute = i8::try_from(number(parts.next()?, 2)?).ok()?;
    let second = match parts.next() {
        Some(part) => i8::try_from(number(part.split(|octet| *octet == b'.').next()?, 2)?).ok()?,
        None => 0,
    };
    // A leap second is the last one of its minute.
    let date = civil::Date::new(year, month, i8::try_from(day).ok()?).ok()?;
    let time = civil::Time::new(hour, minute, second.min(59), 0).ok()?;
    Some(SentDate { seconds: seconds(date.to_datetime(time), offset_minutes)?, offset_minutes })
}

/// The words of a date: comments are dropped; white space and commas part words, so does a hyphen after a letter or digit
/// where a letter or digit follows and no colon came yet (`01-Jan-2020`).
fn words(value: &[u8]) -> Vec<Vec<u8>> {
    let mut words = vec![Vec::new()];
    let mut comments = 0usize;
    let mut time_seen = false;
    for octet in value.iter().copied().take(256) {
        match octet {
            b'(' => comments += 1,
            b')' => comments = comments.saturating_sub(1),
            _ if comments > 0 => continue,
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {}
            b'-' if !time_seen && words.last().is_some_and(|word| !word.is_empty()) => {}
            octet => {
                time_seen |= octet == b':';
                if let Some(word) = words.last_mut() {
                    word.push(octet);
                }
                continue;
            }
        }
        words.push(Vec::new());
    }
    words.retain(|word| !word.is_empty());
    join_times(words)
}

/// White space and comments may stand around the colons of a time (RFC 5322 4.3: obs-hour, obs-minute, obs-second).
fn join_times(words: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut joined: Vec<Vec<u8>> = Vec::with_capacity(words.len());
    for word in words {
        match joined.last_mut() {
            Some(before) if before.ends_with(b":") || word.starts_with(b":") => before.extend(word),
            _ => joined.push(word),
        }
    }
    joined
}

/// A number of one to `digits` digits.
pub(crate) fn number(word: &[u8], digits: usize) -> Option<i16> {
    if word.is_empty() || word.len() > digits || digits > 4 || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(word.iter().fold(0, |value, digit| value * 10 + i16::from(digit - b'0')))
}

/// RFC 5322 4.3: two digits below 50 are after 2000, other two and all three are after 1900.
fn year(word: &[u8]) -> Option<i16> {
    let year = number(word, 4)?;
    Some(match (word.len(), year) {
        (1 | 2, 0..50) => year + 2000,
        (1..=3, _) => year + 1900,
        _ => year,
    })
}

pub(crate) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The number of a month by its first three letters.
pub(crate) fn month(word: &[u8]) -> Option<i8> {
    let start = word.get(..3)?;
    let index = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(start))?;
    i8::try_from(index + 1).ok()
}

/// Minutes east of UTC: `+hhmm`, or a zone of RFC 5322 4.3. Military and unknown zones count as UTC, as it says.
fn zone(word: &[u8]) -> Option<i16> {
    if matches!(word.first(), Some(b'+' | b'-')) {
        // ISO 8601 has a colon between hours and minutes; some write it in mail.
        let digits: Vec<u8> = word.iter().copied().filter(|octet| *octet != b':').collect();
        return numeric_zone(&digits);
    }
    let hours = match word.to_ascii_uppercase().as_slice() {
        b"EDT" => -4,
        b"EST" | b"CDT" => -5,
        b"CST" | b"MDT" => -6,
        b"MST" | b"PDT" => -7,
        b"PST" => -8,
        b"CET" | b"MET" => 1,
        b"CEST" | b"MEST" => 2,
        b"JST" => 9,
        _ => 0,
    };
    Some(hours * 60)
}

/// `+hhmm` or `-hhmm`, less than a day.
pub(crate) fn numeric_zone(word: &[u8]) -> Option<i16> {
    let (sign, digits) = word.split_first()?;
    let (hours, minutes) = digits.split_at_checked(2).filter(|_| digits.len() == 4)?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    match sign {
        b'+' => Some(hours * 60 + minutes),
        b'-' => Some(-(hours * 60 + minutes)),
        _ => None,
    }
}

/// Seconds since 1970 of a civil date and time in a zone this many minutes east of UTC.
pub(crate) fn seconds(datetime: civil::DateTime, offset_minutes: i16) -> Option<i64> {
    let utc = datetime.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    utc.checked_sub(i64::from(offset_minutes) * 60)
}

/// Civil date and time in a zone this many minutes east of UTC, moved into the years 0 to 9999.
pub(crate) fn local(seconds: i64, offset_minutes: i16) -> civil::DateTime {
    let earliest = civil::date(0, 1, 1).at(0, 0, 0, 0);
    let latest = civil::date(9999, 12, 30).at(0, 0, 0, 0);
    let shifted = seconds.saturating_add(i64::from(offset_minutes) * 60);
    match jiff::Timestamp::from_second(shifted) {
        Ok(timestamp) => Offset::UTC.to_datetime(timestamp).max(earliest),
        Err(_) if shifted < 0 => earliest,
        Err(_) => latest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<(i64, i16, String)> {
        let date = SentDate::parse(value.as_bytes())?;
        Some((date.seconds, date.offset_minutes, date.local_date().to_string()))
    }

    #[test]
    fn dates_of_many_forms() {
        for (value, seconds, offset, day) in [
            ("Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -360, "1997-11-21"),
            ("Tue, 1 Jul 2003 10:52:37 +0200", 1057049557, 120, "2003-07-01"),
            ("21 Nov 97 09:55:06 GMT", 880106106, 0, "1997-11-21"),
            (
                "Thu,\r\n 13\r\n Feb\r\n 1969\r\n 23:32\r\n -0330 (Newfoundland Time)",
                -27723480,
                -210,
                "1969-02-13",
            ),
            // RFC 5322 A.6.3, which was refused once.
            ("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706, -360, "1997-11-21"),
            // The zone was taken for UTC once.
            ("1 Jan 2020 00:30:00 +01:00", 1577835000, 60, "2020-01-01"),
            ("1 Jan 2020 00:30 +0100", 1577835000, 60, "2020-01-01"),
            ("1 Jan 2020 00:30:60 +0100", 1577835059, 60, "2020-01-01"),
            ("01-Jan-2020 00:00:00 -0000", 1577836800, 0, "2020-01-01"),
            ("Wed Jan  1 00:00:00 2020", 1577836800, 0, "2020-01-01"),
            ("Wed Jan  1 00:00:00 EST 2020", 1577854800, -300, "2020-01-01"),
            ("1 January 2020", 1577836800, 0, "2020-01-01"),
            ("1 Jan 2020 10:00:00 Z", 1577872800, 0, "2020-01-01"),
            ("31 Dec 99 23:59:59 PST", 946713599, -480, "1999-12-31"),
        ] {
            let expected = Some((seconds, offset, day.to_owned())).filter(|_| !day.is_empty());
            assert_eq!(parse(value), expected, "{value}");
        }
    }

    #[test]
    fn nonsense_has_no_date() {
        for value in [
            "",
            "yesterday",
            "32 Jan 2020 00:00:00",
            "1 Foo 2020 00:00",
            "1 Jan 2020 25:00",
            "30 Feb 2021 1:00",
            "::::",
            "1 Jan 99999",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    #[test]
    fn a_date_beyond_the_calendar_is_moved_into_it() {
        for seconds in [i64::MIN, -100_000_000_000_000, 253_402_300_799, i64::MAX] {
            let date = SentDate { seconds, offset_minutes: i16::MAX };
            assert!((0..=9999).contains(&date.local_date().year()));
        }
    }
}
