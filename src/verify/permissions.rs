//! The organization permissions of a v2 session token, unpacked from its bit masks.
//!
//! <https://clerk.com/docs/guides/sessions/session-tokens>

/// Lists `org:<feature>:<permission>` for every set bit.
///
/// `features` is the `fea` claim, `names` is `o.per`, `masks` is `o.fpm`: mask *i* belongs to the
/// *i*th organization-scoped feature, its bit *j* to name *j*. What cannot be read grants nothing.
pub(super) fn decode(features: &str, names: &str, masks: &str) -> Vec<String> {
    if names.is_empty() || masks.is_empty() {
        return Vec::new();
    }
    let mut permissions = Vec::new();
    for (feature, mask) in organization_features(features).zip(masks.split(',')) {
        let Some(mask) = Mask::parse(mask.trim()) else {
            continue;
        };
        for (bit, name) in names.split(',').enumerate() {
            if mask.has(bit) {
                permissions.push(["org:", feature, ":", name.trim()].concat());
            }
        }
    }
    permissions.shrink_to_fit();
    permissions
}

/// Clerk's SDK aligns masks with the organization's features alone, user features left out.
fn organization_features(features: &str) -> impl Iterator<Item = &str> {
    features
        .split(',')
        .filter_map(|part| part.trim().split_once(':'))
        .filter(|(scope, _)| matches!(*scope, "o" | "ou" | "uo"))
        .map(|(_, feature)| feature)
}

/// A bit mask of any length, as its 32-bit limbs, least significant first.
struct Mask(Vec<u32>);

impl Mask {
    /// Reads decimal digits; Clerk's masks outgrow 64 bits.
    fn parse(digits: &str) -> Option<Self> {
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut limbs: Vec<u32> = Vec::new();
        for digit in digits.bytes() {
            let mut carry = u64::from(digit - b'0');
            for limb in &mut limbs {
                let value = u64::from(*limb) * 10 + carry;
                *limb = (value & u64::from(u32::MAX)) as u32;
                carry = value >> 32;
            }
            if carry > 0 {
                limbs.push(carry as u32);
            }
        }
        Some(Self(limbs))
    }

    fn has(&self, bit: usize) -> bool {
        self.0
            .get(bit / 32)
            .is_some_and(|limb| limb >> (bit % 32) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn permissions_follow_clerks_rules() {
        for (features, names, masks, expected) in [
            (
                "o:dashboard,o:teams",
                "manage,read",
                "3,2",
                "org:dashboard:manage org:dashboard:read org:teams:read",
            ),
            (
                "u:a,o:b,ou:c,uo:d",
                "read",
                "1,0,1",
                "org:b:read org:d:read",
            ),
            (
                " o:a , o:b ",
                " read , write ",
                " 2 , 1 ",
                "org:a:write org:b:read",
            ),
            ("o:a:b", "read", "1", "org:a:b:read"),
            ("o:a", "read", "255", "org:a:read"),
            ("o:a,o:b", "read", "1", "org:a:read"),
            ("o:a", "read", "1,1", "org:a:read"),
            ("o:a,o:b", "read", "x,1", "org:b:read"),
            ("o:a,o:b", "read", ",1", "org:b:read"),
            ("o:a", "read", "-1", ""),
            ("o:a", "read", "+1", ""),
            ("o:a", "read", "1.0", ""),
            ("o:a", "read", "١", ""),
            ("o:a", "", "1", ""),
            ("o:a", "read", "", ""),
            ("", "read", "1", ""),
            ("x:a", "read", "1", ""),
            ("o:a", "read", "0", ""),
        ] {
            let decoded = decode(features, names, masks).join(" ");
            assert_eq!(decoded, expected, "{features} {names} {masks}");
        }
    }

    #[test]
    fn a_part_without_a_scope_takes_no_place() {
        assert_eq!(decode("bare,o:a", "read", "1"), ["org:a:read"]);
    }

    #[test]
    fn masks_go_past_64_bits() {
        let names: Vec<String> = (0..130).map(|n| format!("p{n}")).collect();
        // 2^129 + 2^64 + 1
        let mask = "680564733841876926945195958937245974529";
        assert_eq!(
            decode("o:a", &names.join(","), mask),
            ["org:a:p0", "org:a:p64", "org:a:p129"]
        );
    }

    /// Halves a decimal string, as one does on paper: the digits of the half, and the rest.
    fn halve(digits: &str) -> (String, bool) {
        let mut rest = 0;
        let half = digits.bytes().map(|digit| {
            let value = rest * 10 + (digit - b'0');
            rest = value % 2;
            char::from(b'0' + value / 2)
        });
        (half.collect(), rest == 1)
    }

    proptest! {
        #[test]
        fn masks_agree_with_long_division(digits in "[0-9]{1,60}", count in 1_usize..220) {
            let mask = Mask::parse(&digits).unwrap();
            let mut rest = digits;
            for bit in 0..count {
                let (half, set) = halve(&rest);
                prop_assert_eq!(mask.has(bit), set);
                rest = half;
            }
        }

        #[test]
        fn decoding_never_panics(features in "[ou:a,é ]{0,30}", names in "\\PC{0,30}", masks in "[0-9,x]{0,40}") {
            decode(&features, &names, &masks);
        }
    }
}
