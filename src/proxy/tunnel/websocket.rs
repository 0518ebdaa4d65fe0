//! Where WebSocket frames begin and end (RFC 6455 §5.2): told from their headers, their payloads unread.

/// Follows one direction of a WebSocket connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; 14],
    have: usize,
    /// Of the current frame's payload.
    left: u64,
}

impl Frames {
    /// Tells whether the last byte seen was a frame's last.
    pub(super) fn is_at_boundary(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Follows all of `bytes`.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.step(bytes)..];
        }
    }

    /// Follows `bytes` to the end of the current frame, and returns how many of them belong to it.
    pub(super) fn finish(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && !self.is_at_boundary() {
            taken += self.step(&bytes[taken..]);
        }
        taken
    }

    /// Takes as much as is one thing: a byte of a header, or what there is of a payload.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.left > 0 {
            let taken =
                usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            self.left -= taken as u64;
            return taken;
        }
        let (Some(slot), Some(&byte)) = (self.header.get_mut(self.have), bytes.first()) else {
            return bytes.len();
        };
        *slot = byte;
        self.have += 1;
        if self.have == self.header_length() {
            self.left = self.payload_length();
            self.have = 0;
        }
        1
    }

    fn header_length(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        match self.header[1] & 0x7f {
            126 => 4 + mask,
            127 => 10 + mask,
            _ => 2 + mask,
        }
    }

    fn payload_length(&self) -> u64 {
        let [_, first, rest @ ..] = &self.header;
        let byte = |at: usize| u64::from(rest[at]);
        match first & 0x7f {
            126 => byte(0) << 8 | byte(1),
            127 => (0..8).fold(0, |length, at| length << 8 | byte(at)),
            length => u64::from(length),
        }
    }
}

/// Returns a close frame (§5.5.1) as a server sends it.
pub(super) fn close_to_client(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x88, 2, high, low]
}

/// Returns a close frame as a client sends it: masked, here with zeros, which leave the payload as it is.
pub(super) fn close_to_server(code: u16) -> [u8; 8] {
    let [high, low] = code.to_be_bytes();
    [0x88, 0x82, 0, 0, 0, 0, high, low]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(mask | u8::try_from(length).unwrap()),
            126..65_536 => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            frame.extend([1, 2, 3, 4]);
        }
        frame.resize(frame.len() + length, 0x88);
        frame
    }

    #[test]
    fn only_a_whole_frame_is_a_boundary() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for masked in [false, true] {
                let frame = frame(length, masked);
                let mut frames = Frames::default();
                for &byte in &frame[..frame.len() - 1] {
                    frames.follow(&[byte]);
                    assert!(!frames.is_at_boundary(), "{length} {masked}");
                }
                frames.follow(&frame[frame.len() - 1..]);
                assert!(frames.is_at_boundary(), "{length} {masked}");
            }
        }
    }

    #[test]
    fn close_frames_are_whole_frames() {
        let mut frames = Frames::default();
        frames.follow(&close_to_client(1001));
        assert!(frames.is_at_boundary());
        frames.follow(&close_to_server(1001));
        assert!(frames.is_at_boundary());
    }

    proptest! {
        #[test]
        fn a_frame_is_finished_at_its_own_last_byte(
            lengths in prop::collection::vec(0usize..300, 1..6), cut in 0usize..1500,
        ) {
            let bytes: Vec<u8> = lengths.iter().flat_map(|&length| frame(length, length % 2 == 0)).collect();
            let mut ends = lengths.iter().scan(0, |end, &length| {
                *end += frame(length, length % 2 == 0).len();
                Some(*end)
            });
            let cut = cut.min(bytes.len());
            let mut frames = Frames::default();
            frames.follow(&bytes[..cut]);
            let end = if cut == 0 { 0 } else { ends.find(|&end| end >= cut).unwrap() };
            prop_assert_eq!(frames.finish(&bytes[cut..]), end - cut);
            prop_assert!(frames.is_at_boundary());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            Frames::default().follow(&bytes);
        }
    }
}
