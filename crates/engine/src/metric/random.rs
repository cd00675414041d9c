//! A small pseudo-random generator whose state can be stored.

/// The next 64 bits of `SplitMix64` (Steele, Lea and Flood 2014, "Fast splittable pseudorandom
/// number generators").
pub fn split_mix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number between 0 and 1, never 0 or 1 itself, from the upper 32 bits of [`split_mix64`].
pub fn uniform(state: &mut u64) -> f64 {
    let bits = u32::try_from(split_mix64(state) >> 32).unwrap_or(0);
    (f64::from(bits) + 0.5) / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::{split_mix64, uniform};

    /// The first outputs of the reference implementation (<https://prng.di.unimi.it/splitmix64.c>)
    /// for the seed 1234567.
    #[test]
    fn the_bits_are_those_of_the_reference_implementation() {
        let mut state = 1_234_567;
        let bits = [(); 3].map(|()| split_mix64(&mut state));
        assert_eq!(
            bits,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn uniform_numbers_are_strictly_between_0_and_1() {
        let mut state = 0;
        let numbers: Vec<f64> = (0..1000).map(|_| uniform(&mut state)).collect();
        assert!(numbers.iter().all(|x| *x > 0.0 && *x < 1.0));
    }
}
