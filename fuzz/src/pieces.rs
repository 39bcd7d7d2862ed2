//! Ways to cut an input, which nothing may depend on.

/// The octets in pieces whose lengths follow from the octets themselves, so that an input that fails fails again.
pub fn of(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut state = octets.iter().fold(octets.len(), |sum, octet| sum.wrapping_mul(31) ^ usize::from(*octet));
    let mut rest = octets;
    std::iter::from_fn(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = 1 + (state >> 33) % 9;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}
