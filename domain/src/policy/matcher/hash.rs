use std::hash::Hasher;

/// A fast hash of short texts. What is filed under it comes from whoever writes rules, and whatever is found by
/// it is compared, so that texts of the same hash cost time and nothing else. What is a hash already is taken
/// as it is.
#[derive(Debug, Default)]
pub(in crate::policy) struct ShortText(u64);

impl ShortText {
    #[inline]
    fn mix(&mut self, word: u64) {
        // An odd number without a pattern, as FxHash has it.
        const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    }
}

impl Hasher for ShortText {
    #[inline]
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk::<8>() {
            for word in bytes.as_chunks::<8>().0 {
                self.mix(u64::from_le_bytes(*word));
            }
            self.mix(u64::from_le_bytes(*last));
        } else if let (Some(first), Some(last)) =
            (bytes.first_chunk::<4>(), bytes.last_chunk::<4>())
        {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            self.mix((u64::from(first) << 32) | u64::from(last));
        } else {
            bytes.iter().for_each(|byte| self.mix(u64::from(*byte)));
        }
        self.mix(bytes.len() as u64);
    }

    #[inline]
    fn write_u8(&mut self, _: u8) {
        // The end of a text, whose length is in already.
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
