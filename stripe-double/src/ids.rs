//! Ids in Stripe's format, generated from a counter, so that they are the same in every run.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Generates unique ids.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    counter: u64,
}

impl Ids {
    /// Returns `cs_test_a1…` or `cs_live_a1…`, 66 characters.
    pub(crate) fn session(&mut self, livemode: bool) -> String {
        let mode = if livemode { "live" } else { "test" };
        self.make(&format!("cs_{mode}_a1"), 56)
    }

    /// Returns `pi_3…`, `ch_3…`, `re_3…`, `du_1…` or `evt_1…`: the prefix and 23 characters.
    pub(crate) fn object(&mut self, prefix: &str) -> String {
        self.make(prefix, 23)
    }

    /// Returns `req_…`, for the `Request-Id` header.
    pub(crate) fn request(&mut self) -> String {
        self.make("req_", 14)
    }

    /// Returns a UUID, the format of Resend's ids.
    pub(crate) fn uuid(&mut self) -> String {
        self.counter += 1;
        let (high, low) = (mix(self.counter), mix(!self.counter));
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }

    fn make(&mut self, prefix: &str, length: usize) -> String {
        self.counter += 1;
        let mut id = String::with_capacity(prefix.len() + length);
        id.push_str(prefix);
        // 64 bits contain ten characters of the alphabet.
        let mut block = 0;
        let mut bits = 0;
        for position in 0..length {
            if position % 10 == 0 {
                block += 1;
                bits = mix(self.counter ^ (block << 48));
            }
            let index = usize::try_from(bits % 62).unwrap_or(0);
            id.push(char::from(ALPHABET[index]));
            bits /= 62;
        }
        id
    }
}

/// SplitMix64's finaliser: a bijection that gives consecutive counters very different values.
fn mix(counter: u64) -> u64 {
    let mut bits = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_have_stripes_length_and_never_repeat() {
        let mut ids = Ids::default();
        assert_eq!(ids.session(false).len(), 66);
        assert_eq!(ids.object("pi_3").len(), 27);
        assert_eq!(ids.uuid().len(), 36);
        let many: HashSet<_> = (0..10_000).map(|_| ids.object("evt_1")).collect();
        assert_eq!(many.len(), 10_000, "an id was made twice");
    }
}
