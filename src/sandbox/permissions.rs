//! Permissions in tokens: v2 packs them into names and bit masks.

use serde_json::{Value, json};

use super::objects::{Membership, Organization};

/// A v2 token's permissions: names once, and per feature a mask of them.
pub(crate) struct EncodedPermissions {
    pub(crate) features: Vec<String>,
    names: Vec<String>,
    masks: Vec<Vec<bool>>,
}

impl EncodedPermissions {
    /// Returns the `o` claim.
    pub(crate) fn claim(&self, organization: &Organization, membership: &Membership) -> Value {
        let role = membership.role();
        let mut claim = json!({
            "id": organization.id,
            "slg": organization.slug,
            "rol": role.strip_prefix("org:").unwrap_or(role),
        });
        if !self.names.is_empty() {
            let masks: Vec<String> = self.masks.iter().map(|mask| decimal(mask)).collect();
            claim["per"] = self.names.join(",").into();
            claim["fpm"] = masks.join(",").into();
        }
        claim
    }
}

/// Encodes a member's permissions, aligned to the organization's features.
pub(crate) fn encode_permissions(
    organization: &Organization,
    membership: &Membership,
) -> EncodedPermissions {
    let mut features = organization.about.features.clone();
    let mut names: Vec<String> = Vec::new();
    for (_, feature, name) in custom_permissions(membership) {
        push_new(&mut features, feature);
        push_new(&mut names, name);
    }
    let granted = |feature: &str, name: &str| {
        custom_permissions(membership).any(|(_, f, n)| f == feature && n == name)
    };
    let masks = features
        .iter()
        .map(|feature| names.iter().map(|name| granted(feature, name)).collect())
        .collect();
    EncodedPermissions {
        features,
        names,
        masks,
    }
}

/// Returns a member's permissions whole and in parts, without Clerk's own `org:sys_…` ones, which
/// it leaves out of tokens.
pub(crate) fn custom_permissions(
    membership: &Membership,
) -> impl Iterator<Item = (&str, &str, &str)> {
    membership.about.permissions.iter().filter_map(|full| {
        let (feature, name) = full.strip_prefix("org:")?.split_once(':')?;
        (!feature.starts_with("sys_")).then_some((full.as_str(), feature, name))
    })
}

fn push_new(list: &mut Vec<String>, item: &str) {
    if !list.iter().any(|known| known == item) {
        list.push(item.to_owned());
    }
}

/// Writes a mask (least significant bit first) as a decimal number of any size.
fn decimal(mask: &[bool]) -> String {
    let mut digits = vec![0_u8];
    for bit in mask.iter().rev() {
        let mut carry = u8::from(*bit);
        for digit in &mut digits {
            let doubled = *digit * 2 + carry;
            *digit = doubled % 10;
            carry = doubled / 10;
        }
        if carry > 0 {
            digits.push(carry);
        }
    }
    digits
        .iter()
        .rev()
        .map(|digit| char::from(b'0' + digit))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_decimal_at_any_size() {
        let mut wide = vec![false; 70];
        wide[69] = true;
        for (mask, text) in [
            (vec![], "0"),
            (vec![true, true], "3"),
            (vec![false, true], "2"),
            (vec![true; 10], "1023"),
            (wide, "590295810358705651712"),
        ] {
            assert_eq!(decimal(&mask), text);
        }
    }
}
