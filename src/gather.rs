//! A message's pieces as one.

use std::io::IoSlice;

/// Up to so many bytes, copying costs less than what the kernel does for a gathered write.
pub(crate) const SMALL: usize = 1024;

/// Returns the bytes of all `slices` in a row, where there is one slice or where they have room in `together`.
pub(crate) fn gather<'a>(
    slices: &'a [IoSlice<'a>],
    together: &'a mut [u8; SMALL],
) -> Option<&'a [u8]> {
    if let [slice] = slices {
        return Some(slice);
    }
    let mut length = 0;
    for slice in slices {
        let end = length + slice.len();
        together.get_mut(length..end)?.copy_from_slice(slice);
        length = end;
    }
    together.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_and_a_single_one_are_given_in_a_row() {
        for (lengths, is_given) in [
            (vec![], true),
            (vec![5], true),
            (vec![3 * SMALL], true),
            (vec![200, 128], true),
            (vec![1, SMALL - 1], true),
            (vec![1, SMALL], false),
            (vec![SMALL, 1, 1], false),
        ] {
            let parts: Vec<Vec<u8>> = (0..)
                .zip(&lengths)
                .map(|(n, &length)| vec![n; length])
                .collect();
            let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
            let mut together = [0; SMALL];
            let given = gather(&slices, &mut together).map(<[u8]>::to_vec);
            assert_eq!(given, is_given.then(|| parts.concat()), "{lengths:?}");
        }
    }
}
