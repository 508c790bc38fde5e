//! A canonical path, taken apart.

use memchr::{memchr_iter, memrchr};

/// The most segments of a path that are told apart; what follows belongs to the last of them.
pub(super) const MAX_SEGMENTS: usize = 8;

/// Where the first segments of a path begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split<'a> {
    path: &'a [u8],
    /// Of each segment, and behind the last one where one more would begin.
    begins: [usize; MAX_SEGMENTS + 1],
    count: usize,
    last: usize,
}

impl<'a> Split<'a> {
    /// Takes a canonical path apart: one that begins with a slash.
    #[inline]
    pub(super) fn of(path: &'a str) -> Self {
        let path = path.as_bytes();
        let mut split = Self { path, begins: [1; MAX_SEGMENTS + 1], count: 0, last: 1 };
        for slash in memchr_iter(b'/', &path[1..]).take(MAX_SEGMENTS) {
            split.count += 1;
            // Behind the slash, which was looked for from the second character on.
            split.last = slash + 2;
            split.begins[split.count] = split.last;
        }
        if split.count == MAX_SEGMENTS {
            split.last += memrchr(b'/', &path[split.last..]).map_or(0, |slash| slash + 1);
        } else {
            split.count += 1;
            split.begins[split.count] = path.len() + 1;
        }
        split
    }

    /// All of it.
    #[inline]
    pub(super) fn whole(&self) -> &'a [u8] {
        self.path
    }

    /// How many segments are told apart.
    #[inline]
    pub(super) fn known(&self) -> usize {
        self.count
    }

    /// One of them.
    #[inline]
    pub(super) fn segment(&self, place: usize) -> &'a [u8] {
        &self.path[self.begins[place]..self.begins[place + 1] - 1]
    }

    /// A segment and all that follows it.
    #[inline]
    pub(super) fn rest(&self, place: usize) -> &'a [u8] {
        &self.path[self.begins[place]..]
    }

    /// The last segment of the path, told apart or not.
    #[inline]
    pub(super) fn last(&self) -> &'a [u8] {
        &self.path[self.last..]
    }
}
