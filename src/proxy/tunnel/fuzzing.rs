//! The door to WebSocket's frames.

use super::websocket::Frames;

/// Tells whether these bytes, as they came one piece after the other, end where a frame does.
pub fn ends_at_boundary(pieces: &[&[u8]]) -> bool {
    let mut frames = Frames::default();
    for piece in pieces {
        frames.follow(piece);
    }
    frames.is_at_boundary()
}

/// Returns how many bytes of `next` belong to the frame that `before` has begun.
pub fn rest_of_frame(before: &[u8], next: &[u8]) -> usize {
    let mut frames = Frames::default();
    frames.follow(before);
    frames.finish(next)
}
