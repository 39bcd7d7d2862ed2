//! What the issuer said of tokens a moment ago, so that a client with many connections does not ask it for each.

use std::collections::BTreeMap;

use super::policy::{Bearer, LEEWAY_SECONDS};

/// The most tokens that are remembered.
pub const MOST_TOKENS: usize = 1_000;
/// How long a token is taken for good without asking again, in seconds: so long it may live on after it was revoked.
pub const REMEMBERED_SECONDS: u64 = 60;

/// Tokens that held when the issuer was asked, by their hash.
#[derive(Debug, Default)]
pub struct Cache {
    known: BTreeMap<[u8; 32], (u64, Bearer)>,
}

impl Cache {
    /// Whose token it is, if it is known to hold at this time, in seconds since 1970.
    pub fn find(&self, token: &str, now: u64) -> Option<&Bearer> {
        let (until, bearer) = self.known.get(&hash(token))?;
        (now < *until).then_some(bearer)
    }

    /// Remembers a token that holds now, no longer than it does.
    pub fn keep(&mut self, token: &str, bearer: Bearer, now: u64) {
        if self.known.len() >= MOST_TOKENS {
            self.known.retain(|_, (until, _)| now < *until);
        }
        if self.known.len() >= MOST_TOKENS {
            self.known.clear();
        }
        let ends = bearer.expires.map_or(u64::MAX, |expires| expires.saturating_add(LEEWAY_SECONDS));
        let until = ends.min(now.saturating_add(REMEMBERED_SECONDS));
        self.known.insert(hash(token), (until, bearer));
    }
}

/// Tokens themselves are not kept.
fn hash(token: &str) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    digest.as_ref().try_into().unwrap_or([0; 32])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(expires: Option<u64>) -> Bearer {
        Bearer { name: "alice".to_owned(), expires }
    }

    #[test]
    fn a_token_is_known_until_it_expires_and_never_long() {
        let mut cache = Cache::default();
        cache.keep("short", bearer(Some(1_000 - LEEWAY_SECONDS + 10)), 1_000);
        cache.keep("long", bearer(Some(9_000)), 1_000);
        cache.keep("unsaid", bearer(None), 1_000);
        let known =
            |cache: &Cache, now| ["short", "long", "unsaid"].map(|token| cache.find(token, now).is_some());
        assert_eq!(known(&cache, 1_009), [true, true, true]);
        assert_eq!(known(&cache, 1_010), [false, true, true]);
        assert_eq!(known(&cache, 1_000 + REMEMBERED_SECONDS), [false, false, false]);
        assert!(cache.find("other", 1_000).is_none());
    }

    #[test]
    fn there_are_never_too_many() {
        let mut cache = Cache::default();
        for number in 0..5 * MOST_TOKENS as u64 {
            cache.keep(&number.to_string(), bearer(None), number / 100);
            assert!(cache.known.len() <= MOST_TOKENS);
            assert!(cache.find(&number.to_string(), number / 100).is_some());
        }
    }
}
