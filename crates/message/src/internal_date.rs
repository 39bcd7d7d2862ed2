//! The internal date of a message, as IMAP writes it (RFC 9051 2.3.3 and `date-time` in 9).

use std::fmt;

use jiff::civil;
use serde::{Deserialize, Serialize};

use crate::date;

/// When a message was received, or what APPEND gave for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InternalDate {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Minutes east of UTC of the zone it is written in.
    pub offset_minutes: i16,
}

/// A text that is no IMAP `date-time`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "internal date \"{text}\" is not a date of the calendar written dd-Mon-yyyy hh:mm:ss +zzzz; send it like \"17-Jul-1996 02:44:25 -0700\""
)]
pub struct InternalDateError {
    /// The start of what was given, in printable ASCII.
    pub text: String,
}

impl InternalDate {
    /// A date in UTC.
    pub fn from_seconds(seconds: i64) -> Self {
        Self { seconds, offset_minutes: 0 }
    }

    /// Reads `dd-Mon-yyyy hh:mm:ss +zzzz`, without the quotes; the day may have one digit or a leading space.
    ///
    /// # Errors
    /// Where the text has another form or names no date of the calendar.
    pub fn parse(text: &[u8]) -> Result<Self, InternalDateError> {
        parse(text).ok_or_else(|| InternalDateError {
            text: text.get(..40).unwrap_or(text).escape_ascii().to_string(),
        })
    }

    /// The calendar day in the date's own zone, which is what `BEFORE`, `ON` and `SINCE` compare.
    pub fn local_date(self) -> civil::Date {
        date::local(self.seconds, self.offset_minutes).date()
    }
}

impl fmt::Display for InternalDate {
    /// Writes `dd-Mon-yyyy hh:mm:ss +zzzz`, without the quotes, the day with a leading space where it has one digit.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A zone that cannot be written would make the instant read wrong: such a date is written in UTC.
        let offset = if self.offset_minutes.unsigned_abs() < 24 * 60 { self.offset_minutes } else { 0 };
        let local = date::local(self.seconds, offset);
        let month = usize::from(local.month().unsigned_abs()).saturating_sub(1);
        let sign = if offset < 0 { '-' } else { '+' };
        write!(
            formatter,
            "{:2}-{}-{:04} {:02}:{:02}:{:02} {sign}{:02}{:02}",
            local.day(),
            date::MONTHS.get(month).unwrap_or(&"Jan"),
            local.year(),
            local.hour(),
            local.minute(),
            local.second(),
            offset.unsigned_abs() / 60,
            offset.unsigned_abs() % 60,
        )
    }
}

fn parse(text: &[u8]) -> Option<InternalDate> {
    let mut words = text.strip_prefix(b" ").unwrap_or(text).split(|octet| *octet == b' ');
    let (day_month_year, time, zone) = (words.next()?, words.next()?, words.next()?);
    let mut parts = day_month_year.split(|octet| *octet == b'-');
    let day = i8::try_from(date::number(parts.next()?, 2)?).ok()?;
    let month = parts.next().filter(|word| word.len() == 3).and_then(date::month)?;
    let year = parts.next().filter(|word| word.len() == 4).and_then(|word| date::number(word, 4))?;
    let mut clock = time.split(|octet| *octet == b':');
    let mut two = || {
        i8::try_from(clock.next().filter(|word| word.len() == 2).and_then(|word| date::number(word, 2))?).ok()
    };
    let (hour, minute, second) = (two()?, two()?, two()?);
    if words.next().is_some() || parts.next().is_some() || clock.next().is_some() || second > 60 {
        return None;
    }
    let offset_minutes = date::numeric_zone(zone)?;
    let date = civil::Date::new(year, month, day).ok()?;
    let time = civil::Time::new(hour, minute, second.min(59), 0).ok()?;
    Some(InternalDate { seconds: date::seconds(date.to_datetime(time), offset_minutes)?, offset_minutes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_the_rfc_goes_in_and_out() {
        let date = InternalDate::parse(b"17-Jul-1996 02:44:25 -0700").unwrap();
        assert_eq!((date.seconds, date.offset_minutes), (837596665, -420));
        assert_eq!(date.to_string(), "17-Jul-1996 02:44:25 -0700");
        assert_eq!(date.local_date(), civil::date(1996, 7, 17));
    }

    #[test]
    fn days_of_one_digit_and_local_days() {
        let date = InternalDate::parse(b" 1-jan-2020 00:30:00 +0100").unwrap();
        assert_eq!(date, InternalDate::parse(b"01-Jan-2020 00:30:00 +0100").unwrap());
        assert_eq!(date.to_string(), " 1-Jan-2020 00:30:00 +0100");
        assert_eq!(date.local_date(), civil::date(2020, 1, 1));
        let utc = InternalDate::from_seconds(date.seconds);
        assert_eq!(utc.local_date(), civil::date(2019, 12, 31));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "1-Jan-2020",
            "1-Jan-20 00:00:00 +0000",
            "30-Feb-2020 00:00:00 +0000",
            "1-Jan-2020 0:00:00 +0000",
            "1-Jan-2020 00:00:00 GMT",
            "1-Jan-2020 00:00:00 +9900",
            "1-Jan-2020 00:00:00 +0000 x",
            "1-Jan-2020 24:00:00 +0000",
        ] {
            assert!(InternalDate::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn extremes_are_written_within_the_grammar() {
        for seconds in [i64::MIN, 0, i64::MAX] {
            for offset_minutes in [i16::MIN, -1, i16::MAX] {
                let text = InternalDate { seconds, offset_minutes }.to_string();
                assert!(InternalDate::parse(text.as_bytes()).is_ok(), "{text}");
            }
        }
    }
}
