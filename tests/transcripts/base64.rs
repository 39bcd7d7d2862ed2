//! `<base64 "...">`: what SASL says crosses the wire in base64. The text may have names in it, which are bound as those of other
//! lines are, and `<any>` for any octets or none.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::matching::Names;
use super::pattern::{self, Named};
use super::scram;

/// The name of what the server said last.
pub const CHALLENGE: &str = "challenge";
/// The name of what the client said last.
pub const RESPONSE: &str = "response";

/// A text that is sent, or expected, in base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base64(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Octets(Vec<u8>),
    Any,
    Name(String),
}

impl Base64 {
    /// At the start of a text, and what follows it; none where something else stands there.
    ///
    /// # Errors
    /// Where it has no end, or something in it is no name.
    pub fn parse(text: &str) -> Result<Option<(Self, &str)>, String> {
        let Some(text) = text.strip_prefix("<base64 ") else { return Ok(None) };
        let (octets, rest) = pattern::quoted(text)?;
        let rest = rest.strip_prefix('>').ok_or("a < without its >")?;
        Ok(Some((Self(parts(&octets)?), rest)))
    }

    /// A line of a transcript again.
    pub fn describe(&self) -> String {
        let part = |part: &Part| match part {
            Part::Octets(octets) => octets.escape_ascii().to_string(),
            Part::Any => "<any>".to_owned(),
            Part::Name(name) => format!("<{name}>"),
        };
        format!("<base64 \"{}\">", self.0.iter().map(part).collect::<String>())
    }

    /// In base64; what was said has a name from then on.
    ///
    /// # Errors
    /// Where a name stands for nothing.
    pub fn encode(&self, names: &mut Names) -> Result<String, String> {
        let mut said = Vec::new();
        for part in &self.0 {
            match part {
                Part::Octets(octets) => said.extend_from_slice(octets),
                Part::Name(name) if name == "proof" => said.extend(scram::proof(&said, names)?.into_bytes()),
                Part::Name(name) if name == "header" => said.extend(scram::header(names)?.into_bytes()),
                Part::Name(name) => {
                    let known = names.get(name).ok_or_else(|| format!("<{name}> stands for nothing"))?;
                    said.extend_from_slice(known.as_bytes());
                }
                Part::Any => return Err("<any> cannot be sent".to_owned()),
            }
        }
        names.insert(RESPONSE.to_owned(), String::from_utf8_lossy(&said).into_owned());
        Ok(BASE64_STANDARD.encode(said))
    }

    /// What names stand for, where a word is this.
    pub fn matches(&self, word: &str, names: &Names) -> Option<Names> {
        let told = BASE64_STANDARD.decode(word).ok()?;
        let mut names = place(&self.0, &told, names.clone())?;
        names.insert(CHALLENGE.to_owned(), String::from_utf8(told).ok()?);
        Some(names)
    }
}

fn parts(text: &[u8]) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    for (at, piece) in text.split(|octet| *octet == b'<').enumerate() {
        let end = piece.iter().position(|octet| *octet == b'>').filter(|_| at > 0);
        let after = match end {
            None if at > 0 => return Err("a < without its >".to_owned()),
            None => piece,
            Some(end) => {
                let name = String::from_utf8_lossy(&piece[..end]).into_owned();
                Named::parse(&name).ok_or_else(|| format!("{name} is no name"))?;
                parts.push(if name == "any" { Part::Any } else { Part::Name(name) });
                &piece[end + 1..]
            }
        };
        parts.push(Part::Octets(after.to_vec()));
    }
    Ok(parts)
}

/// The first way in which the parts make up the octets.
fn place(parts: &[Part], octets: &[u8], names: Names) -> Option<Names> {
    let Some((first, rest)) = parts.split_first() else { return octets.is_empty().then_some(names) };
    let known = match first {
        Part::Octets(octets) => Some(octets.clone()),
        Part::Name(name) => names.get(name).map(|known| known.clone().into_bytes()),
        Part::Any => None,
    };
    if let Some(known) = known {
        return place(rest, octets.strip_prefix(known.as_slice())?, names);
    }
    let least = usize::from(*first != Part::Any);
    (least..=octets.len()).find_map(|end| {
        let mut names = names.clone();
        if let Part::Name(name) = first {
            names.insert(name.clone(), String::from_utf8(octets[..end].to_vec()).ok()?);
        }
        place(rest, &octets[end..], names)
    })
}
