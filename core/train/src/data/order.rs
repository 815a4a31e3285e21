//! The order in which examples are trained on.

use crate::random::Stream;

/// An endless order over `count` examples: each pass is a new shuffle, and all follow from one
/// seed.
pub struct Order {
    stream: Stream,
    pass: Vec<usize>,
    next: usize,
}

impl Order {
    /// The order of `count` examples under `seed`.
    pub fn new(count: usize, seed: [u8; 32]) -> Self {
        let stream = Stream::new(seed, "example order");
        Self { stream, pass: (0..count).collect(), next: count }
    }

    /// The next `size` examples; a batch may extend over the end of a pass.
    pub fn take(&mut self, size: usize) -> Vec<usize> {
        let mut picked = Vec::with_capacity(size);
        while picked.len() < size && !self.pass.is_empty() {
            if self.next == self.pass.len() {
                self.stream.shuffle(&mut self.pass);
                self.next = 0;
            }
            picked.push(self.pass[self.next]);
            self.next += 1;
        }
        picked
    }
}
