//! IDs and secrets in Clerk's forms.

use aws_lc_rs::rand;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes IDs: random, or counted where output must repeat.
#[derive(Default)]
pub(crate) struct Ids {
    counted: bool,
    last: u64,
}

impl Ids {
    pub(crate) fn new(counted: bool) -> Self {
        Self { counted, last: 0 }
    }

    /// Returns `<prefix>_` and 27 letters and digits, Clerk's form.
    pub(crate) fn next(&mut self, prefix: &str) -> String {
        format!("{prefix}_{}", self.text(27))
    }

    /// Returns `length` letters and digits.
    pub(crate) fn text(&mut self, length: usize) -> String {
        if !self.counted {
            return random_text(length);
        }
        self.last += 1;
        let fill = "Sandbox".len();
        format!("Sandbox{:0>1$}", self.last, length.saturating_sub(fill))
    }
}

/// Returns `length` random letters and digits.
pub(crate) fn random_text(length: usize) -> String {
    let mut bytes = vec![0; length];
    // The system's generator does not fail on any platform this runs on; a zeroed text is still an ID.
    let _ = rand::fill(&mut bytes);
    bytes
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()))
        .map(|byte| char::from(*byte))
        .collect()
}

/// Returns 32 random hexadecimal digits, the form of Clerk's trace IDs.
pub(crate) fn trace_id() -> String {
    let mut bytes = [0; 16];
    let _ = rand::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_clerks_length_in_both_modes() {
        for counted in [false, true] {
            let mut ids = Ids::new(counted);
            let (first, second) = (ids.next("sess"), ids.next("sess"));
            assert_eq!(first.len(), "sess_".len() + 27);
            assert_ne!(first, second);
        }
    }

    #[test]
    fn counted_ids_repeat() {
        let first = || Ids::new(true).next("user");
        assert_eq!(first(), first());
    }
}
