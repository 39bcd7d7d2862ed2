//! SORT and THREAD (RFC 5256 section 5).

use crate::command::{Search, Sort, SortCriterion, SortKey, Thread, ThreadAlgorithm};

use super::super::cursor::{Cursor, Expected, Read};
use super::search::{TextCharset, program, return_options};

/// `sort`, with the result options of ESORT (RFC 5267 section 5).
pub(super) fn sort(cursor: &mut Cursor<'_>, uid: bool) -> Read<Sort> {
    let mut returned = None;
    if cursor.accept_word("RETURN ") {
        returned = Some(return_options(cursor)?);
        cursor.space()?;
    }
    let criteria = criteria(cursor)?;
    cursor.space()?;
    let search = Search { returned, ..search_criteria(cursor, uid)? };
    Ok(Sort { search, criteria })
}

/// `thread`
pub(super) fn thread(cursor: &mut Cursor<'_>, uid: bool) -> Read<Thread> {
    let algorithm = match cursor.word("an algorithm for threads")?.as_str() {
        "ORDEREDSUBJECT" => ThreadAlgorithm::OrderedSubject,
        "REFERENCES" => ThreadAlgorithm::References,
        "REFS" => ThreadAlgorithm::Refs,
        other => {
            let name: String = other.chars().take(40).collect();
            return Err(Expected::Rule(format!("There is no algorithm {name} for threads here").into()));
        }
    };
    cursor.space()?;
    Ok(Thread { search: search_criteria(cursor, uid)?, algorithm })
}

/// `search-criteria = charset 1*(SP search-key)`
fn search_criteria(cursor: &mut Cursor<'_>, uid: bool) -> Read<Search> {
    let charset = TextCharset::named(&cursor.text("a charset")?);
    cursor.space()?;
    program(cursor, uid, charset)
}

/// `sort-criteria = "(" sort-criterion *(SP sort-criterion) ")"`. A key that stands again decides nothing more.
fn criteria(cursor: &mut Cursor<'_>) -> Read<Vec<SortCriterion>> {
    let mut criteria: Vec<SortCriterion> = Vec::new();
    cursor.list(|cursor| {
        let criterion = criterion(cursor)?;
        if criteria.iter().all(|before| before.key != criterion.key) {
            criteria.push(criterion);
        }
        Ok(())
    })?;
    if criteria.is_empty() { Err(Expected::Grammar("a sort key")) } else { Ok(criteria) }
}

/// `sort-criterion = ["REVERSE" SP] sort-key`
fn criterion(cursor: &mut Cursor<'_>) -> Read<SortCriterion> {
    let reverse = cursor.accept_word("REVERSE ");
    let key = match cursor.word("a sort key")?.as_str() {
        "ARRIVAL" => SortKey::Arrival,
        "CC" => SortKey::Cc,
        "DATE" => SortKey::Date,
        "DISPLAYFROM" => SortKey::DisplayFrom,
        "DISPLAYTO" => SortKey::DisplayTo,
        "FROM" => SortKey::From,
        "SIZE" => SortKey::Size,
        "SUBJECT" => SortKey::Subject,
        "TO" => SortKey::To,
        other => {
            let name: String = other.chars().take(40).collect();
            return Err(Expected::Rule(format!("There is no sort key {name} here").into()));
        }
    };
    Ok(SortCriterion { key, reverse })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{SearchCharset, SearchKey, SearchReturn};

    fn read<T>(text: &str, read: impl Fn(&mut Cursor<'_>, bool) -> Read<T>) -> Option<T> {
        let mut cursor = Cursor::new(text.as_bytes());
        let command = read(&mut cursor, true).ok()?;
        cursor.end().ok().map(|()| command)
    }

    /// RFC 5256 section 5, with RFC 5267 section 5 and RFC 5957 section 4.
    #[test]
    fn sort_has_criteria_charset_and_keys() {
        let command =
            read("RETURN (MIN) (reverse Subject DATE REVERSE DATE DISPLAYTO) utf-8 SEEN 1", sort).unwrap();
        let criterion = |key, reverse| SortCriterion { key, reverse };
        let expected = [
            criterion(SortKey::Subject, true),
            criterion(SortKey::Date, false),
            criterion(SortKey::DisplayTo, false),
        ];
        assert_eq!(command.criteria, expected);
        let Search { uid, returned, charset, key } = command.search;
        assert!(uid && matches!(key, SearchKey::And(keys) if keys.len() == 2));
        assert_eq!(returned, Some(SearchReturn { min: true, ..SearchReturn::default() }));
        assert_eq!(charset, SearchCharset::Supported);
        let other = read("(ARRIVAL) X-NONE TEXT {2}\r\n\u{fc}", sort).unwrap();
        assert_eq!(other.search.charset, SearchCharset::Unsupported("X-NONE".to_owned()));
        let other = read("(ARRIVAL) windows-1251 TEXT {2}\r\n\u{fc}", sort).unwrap();
        assert_eq!(other.search.key, SearchKey::Text("Гј".to_owned()));
        for wrong in
            ["() UTF-8 ALL", "(X) UTF-8 ALL", "(SIZE) UTF-8", "(SIZE)UTF-8 ALL", "(SIZE REVERSE) UTF-8 ALL"]
        {
            assert_eq!(read(wrong, sort), None, "{wrong}");
        }
    }

    /// RFC 5256 section 5: `thread`
    #[test]
    fn thread_has_an_algorithm_charset_and_keys() {
        let command = read("references us-ascii ALL", thread).unwrap();
        assert_eq!((command.algorithm, command.search.key), (ThreadAlgorithm::References, SearchKey::All));
        assert_eq!(read("REFS UTF-8 ALL", thread).map(|it| it.algorithm), Some(ThreadAlgorithm::Refs));
        assert_eq!(
            read("ORDEREDSUBJECT UTF-8 ALL", thread).map(|it| it.algorithm),
            Some(ThreadAlgorithm::OrderedSubject)
        );
        for wrong in ["JWZ UTF-8 ALL", "REFS ALL", "REFS"] {
            assert_eq!(read(wrong, thread), None, "{wrong}");
        }
    }
}
