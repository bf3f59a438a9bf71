//! Which calls a fault meets: a share or a count, decided by a seed and nothing else.

use crate::request::Guid;

/// A share of all cases, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share(u32);

impl Share {
    const WHOLE: u32 = 1_000_000;

    /// Reads a percentage with at most four decimals: `5%`, `0.5%`, `100%`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 4 {
            return None;
        }
        let whole: u32 = whole.parse().ok().filter(|whole| *whole <= 100)?;
        let decimals: u32 = format!("{decimals:0<4}").parse().ok()?;
        let share = whole * 10_000 + decimals;
        (share <= Self::WHOLE).then_some(Self(share))
    }

    /// Returns whether a roll of the dice falls into the share.
    pub(crate) fn takes(self, roll: u64) -> bool {
        roll % u64::from(Self::WHOLE) < u64::from(self.0)
    }
}

/// Which of the calls that reach a fault it meets. Calls are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// All of them.
    Always,
    /// A share, spread by the seed.
    Share(Share),
    /// The first n.
    First(u64),
    /// All but the first n.
    After(u64),
    /// The nth alone.
    At(u64),
}

impl When {
    /// Reads `5%`, `first 3`, `after 100`, `at 7` or `always`; the space may be a hyphen, for shells.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(share) = Share::parse(text) {
            return Some(Self::Share(share));
        }
        if text == "always" {
            return Some(Self::Always);
        }
        let (word, number) = text.split_once([' ', '-'])?;
        let number = Some(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?;
        let number = number.parse().ok()?;
        match word {
            "first" => Some(Self::First(number)),
            "after" => Some(Self::After(number)),
            "at" => Some(Self::At(number)),
            _ => None,
        }
    }

    /// Returns whether the nth call is met, with this roll of the dice.
    pub(crate) fn meets(self, nth: u64, roll: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Share(share) => share.takes(roll),
            Self::First(calls) => nth <= calls,
            Self::After(calls) => nth > calls,
            Self::At(call) => nth == call,
        }
    }
}

/// Dice without memory: the same seed, stream and number always roll the same, in whatever order they are asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice {
    seed: u64,
}

impl Dice {
    /// Returns the dice of this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Rolls for the nth case of a stream (one for each fault).
    pub(crate) const fn roll(self, stream: u64, nth: u64) -> u64 {
        mix(mix(mix(self.seed) ^ stream) ^ nth)
    }

    /// Rolls for a GUID: the same GUID always rolls the same.
    pub(crate) fn roll_for(self, stream: u64, guid: &Guid) -> u64 {
        let (high, low) = halves(guid);
        mix(self.roll(stream, high) ^ low)
    }
}

/// Returns another GUID that belongs to this one: the same salt always gives the same.
pub(crate) fn derived(guid: &Guid, salt: u64) -> Guid {
    let (high, low) = halves(guid);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mix(high ^ mix(low ^ salt)).to_be_bytes());
    bytes[8..].copy_from_slice(&mix(low ^ mix(high ^ salt)).to_be_bytes());
    // Version 4, variant 1 (RFC 9562), as the GUIDs of Windows are.
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    Guid::from_bytes(bytes)
}

fn halves(guid: &Guid) -> (u64, u64) {
    let half =
        |range: std::ops::Range<usize>| guid.as_bytes()[range].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    (half(0..8), half(8..16))
}

/// The finalizer of SplitMix64: every bit of the input changes about half of the output's.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages() {
        for (text, millionths) in
            [("0%", 0), ("5%", 50_000), ("0.5%", 5_000), ("0.0001%", 1), ("33.3333%", 333_333), ("100%", 1_000_000)]
        {
            assert_eq!(Share::parse(text), Some(Share(millionths)), "{text}");
        }
        for bad in
            ["", "%", "5", ".5%", "5.%", "100.1%", "101%", "-1%", "1e2%", "0.00001%", "+5%", "5 %", "99999999999%"]
        {
            assert_eq!(Share::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_fault_meets_a_share_or_counted_calls() {
        let met = |text: &str| -> Vec<u64> {
            let when = When::parse(text).unwrap();
            (1..=6).filter(|nth| when.meets(*nth, 0)).collect()
        };
        assert_eq!(met("always"), [1, 2, 3, 4, 5, 6]);
        assert_eq!(met("first 3"), [1, 2, 3]);
        assert_eq!(met("first-3"), [1, 2, 3]);
        assert_eq!(met("after 4"), [5, 6]);
        assert_eq!(met("at 2"), [2]);
        assert_eq!(met("0%"), [0; 0]);
        for bad in ["", "first", "first x", "first -3", "last 3", "3", "at 1 2", "first +3"] {
            assert_eq!(When::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_same_seed_rolls_the_same_and_shares_come_out() {
        let share = Share::parse("5%").unwrap();
        let taken =
            |seed| -> Vec<u64> { (1..=10_000).filter(|nth| share.takes(Dice::new(seed).roll(1, *nth))).collect() };
        assert_eq!(taken(7), taken(7));
        assert_ne!(taken(7), taken(8));
        assert!((400..600).contains(&taken(7).len()), "{}", taken(7).len());
        let (one, two) = (Guid::from_bytes([1; 16]), Guid::from_bytes([2; 16]));
        assert_eq!(Dice::new(7).roll_for(1, &one), Dice::new(7).roll_for(1, &one));
        assert_ne!(Dice::new(7).roll_for(1, &one), Dice::new(7).roll_for(1, &two));
        assert_eq!(derived(&one, 1), derived(&one, 1));
        assert_ne!(derived(&one, 1), derived(&one, 2));
        assert_eq!(&derived(&one, 1).to_string()[14..15], "4");
    }
}
