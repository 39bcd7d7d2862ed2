//! The issuer's keys as they were fetched last, and when they are to be fetched again. Times are handed in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::jwt::KeySet;

/// After how long keys are fetched again.
const OLD: Duration = Duration::from_secs(60 * 60);
/// For how long old keys are used where no new ones can be had.
const DEAD: Duration = Duration::from_secs(24 * 60 * 60);
/// How long to wait before keys are fetched again because a token names one that is not among them: anybody can name one.
const BETWEEN_FETCHES: Duration = Duration::from_secs(30);
/// How long to wait before that is tried again where there are no keys at all.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(2);

/// What is known of the issuer's keys.
#[derive(Default)]
pub struct Keys {
    fetched: Option<(Instant, Arc<KeySet>)>,
    tried: Option<Instant>,
}

impl Keys {
    /// Whether they are to be fetched now; `renew` where a token names one that is not among them.
    pub fn are_due(&self, now: Instant, renew: bool) -> bool {
        let age = self.fetched.as_ref().map(|(at, _)| now.saturating_duration_since(*at));
        let wanted = renew || age.is_none_or(|age| age >= OLD);
        let pause = if age.is_some() { BETWEEN_FETCHES } else { BETWEEN_ATTEMPTS };
        wanted && self.tried.is_none_or(|at| now.saturating_duration_since(at) >= pause)
    }

    /// They are being fetched.
    pub fn try_at(&mut self, now: Instant) {
        self.tried = Some(now);
    }

    /// They came.
    pub fn keep(&mut self, now: Instant, set: KeySet) {
        self.fetched = Some((now, Arc::new(set)));
    }

    /// Those that can be used.
    pub fn usable(&self, now: Instant) -> Option<Arc<KeySet>> {
        let (at, set) = self.fetched.as_ref()?;
        (now.saturating_duration_since(*at) < DEAD).then(|| Arc::clone(set))
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "an Instant can be had from the clock alone")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::Signer;

    fn set() -> KeySet {
        let text = json!({ "keys": [Signer::eddsa("one").jwk()] }).to_string();
        KeySet::parse(text.as_bytes()).expect("keys")
    }

    /// How often keys are fetched where a token comes every second, of an issuer that answers or does not.
    fn fetches(seconds: u64, renew: bool, answers: bool) -> u64 {
        let (start, mut keys, mut count) = (Instant::now(), Keys::default(), 0);
        for now in (0..seconds).map(|second| start + Duration::from_secs(second)) {
            if keys.are_due(now, renew) {
                count += 1;
                keys.try_at(now);
                if answers {
                    keys.keep(now, set());
                }
            }
        }
        count
    }

    #[test]
    fn tokens_that_name_keys_of_nobody_do_not_make_us_ask_all_the_time() {
        assert_eq!(fetches(300, true, true), 10);
        assert_eq!(fetches(300, true, false), 150, "without any keys nobody could log in");
    }

    #[test]
    fn keys_are_asked_for_every_hour_and_live_for_a_day() {
        assert_eq!(fetches(3 * 60 * 60, false, true), 3);
        let (start, mut keys) = (Instant::now(), Keys::default());
        assert!(keys.usable(start).is_none());
        keys.keep(start, set());
        assert!(keys.usable(start + DEAD - Duration::from_secs(1)).is_some());
        assert!(keys.usable(start + DEAD).is_none());
    }

    #[test]
    fn a_new_key_is_asked_for_at_once_where_nobody_asked_just_now() {
        let (start, mut keys) = (Instant::now(), Keys::default());
        keys.try_at(start);
        keys.keep(start, set());
        assert!(!keys.are_due(start + BETWEEN_FETCHES, false));
        assert!(!keys.are_due(start + BETWEEN_FETCHES - Duration::from_secs(1), true));
        assert!(keys.are_due(start + BETWEEN_FETCHES, true));
    }
}
