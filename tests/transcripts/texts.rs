//! Messages and other texts that transcripts name.

use std::collections::BTreeMap;

use super::pattern::Pattern;

/// Texts by name.
#[derive(Clone, Debug, Default)]
pub struct Texts(BTreeMap<String, Vec<u8>>);

impl Texts {
    /// Adds a text. Its lines end in CRLF.
    pub fn add(&mut self, name: &str, octets: Vec<u8>) {
        self.0.insert(name.to_owned(), octets);
    }

    /// The octets of a text.
    ///
    /// # Errors
    /// Where there is none.
    pub fn text(&self, name: &str) -> Result<&[u8], String> {
        self.0.get(name).map(Vec::as_slice).ok_or_else(|| format!("there is no text {name}"))
    }

    /// What `text NAME`, `header NAME`, `body NAME`, `size NAME` or `part NAME FROM COUNT` stands for; `None` for anything else.
    ///
    /// # Errors
    /// Where there is no such text.
    pub fn expression(&self, expression: &str) -> Result<Option<Pattern>, String> {
        let words: Vec<&str> = expression.split(' ').collect();
        let [kind, name, numbers @ ..] = words.as_slice() else { return Ok(None) };
        if !["text", "header", "body", "size", "part"].contains(kind) {
            return Ok(None);
        }
        let octets = self.text(name)?;
        let header_end =
            octets.windows(4).position(|four| four == b"\r\n\r\n").map_or(octets.len(), |at| at + 4);
        let number = |at: usize| numbers.get(at).and_then(|number| number.parse::<usize>().ok());
        let octets = match *kind {
            "header" => &octets[..header_end],
            "body" => &octets[header_end..],
            "size" => return Ok(Some(Pattern::Word(octets.len().to_string()))),
            "part" => {
                let (from, count) = number(0).zip(number(1)).ok_or("part NAME FROM COUNT")?;
                let from = from.min(octets.len());
                &octets[from..octets.len().min(from + count)]
            }
            _ => octets,
        };
        Ok(Some(Pattern::Text(octets.to_vec())))
    }
}
