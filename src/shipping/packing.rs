//! Packs goods into boxes, for carriers that want boxes. The whole rule:
//!
//! 1. A product's measures are those of its package. A box takes 30 kg, 100 cm on a side, and 200 cm as the sum of its sides.
//! 2. A piece that fits no box travels alone, in its own package.
//! 3. The rest is packed from the largest to the smallest (longest side, then the middle one, the shortest, the weight) into one
//!    box; when the next piece does not fit, the box is closed and a new one opened.
//! 4. A box's sides start as the longest, middle and shortest side among its pieces. Then the shortest side grows by one
//!    centimetre at a time until the box has the volume of its pieces. That is the smallest possible sum of sides.
//!
//! So a single piece travels in its own package, a box is never smaller than its contents, the order of a cart does not matter,
//! and one more piece never means fewer boxes: a part of what fits in a box also fits in a box (its smallest sum of sides is no
//! larger), so filling boxes in a fixed order never needs fewer of them.

use vitrine_kit::shipping::{ParcelItem, Volume};

const MAX_GRAMS: u64 = 30_000;
const MAX_SIDE_CM: u32 = 100;
const MAX_SUM_CM: u32 = 200;
/// Most boxes of one parcel. With more, no carrier is asked.
pub const MAX_VOLUMES: usize = 50;

/// One piece, its longest side first. Ordered by size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    sides: [u32; 3],
    grams: u32,
}

/// The contents of a box.
#[derive(Debug, Clone, Copy, Default)]
struct Content {
    /// The longest of the longest sides, of the middle ones, of the shortest ones.
    sides: [u32; 3],
    cubic_cm: u64,
    grams: u64,
}

/// The boxes, in the order of packing; empty if there would be too many.
pub fn pack(items: &[ParcelItem]) -> Vec<Volume> {
    let mut volumes = Vec::new();
    let mut open = Content::default();
    for (piece, count) in sorted(items) {
        let one = Content::default().with(piece, 1);
        let mut left = count;
        while left > 0 && volumes.len() <= MAX_VOLUMES {
            if one.boxed().is_none() {
                volumes.push(alone(piece));
                left -= 1;
                continue;
            }
            let room = open.room_for(piece, left);
            if room == 0 {
                volumes.extend(open.boxed());
                open = Content::default();
            }
            open = open.with(piece, room);
            left -= room;
        }
    }
    if open.grams > 0 {
        volumes.extend(open.boxed());
    }
    if volumes.len() > MAX_VOLUMES { Vec::new() } else { volumes }
}

/// Every kind of piece once, the largest first.
fn sorted(items: &[ParcelItem]) -> Vec<(Piece, u64)> {
    let mut pieces: Vec<(Piece, u64)> = items
        .iter()
        .map(|item| {
            let mut sides = [item.height_cm, item.width_cm, item.length_cm].map(|side| side.max(1));
            sides.sort_unstable_by(|a, b| b.cmp(a));
            (Piece { sides, grams: item.weight_grams.max(1) }, u64::from(item.quantity))
        })
        .collect();
    pieces.sort_unstable_by(|a, b| b.cmp(a));
    pieces.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        kept.1 += if same { next.1 } else { 0 };
        same
    });
    pieces
}

fn alone(piece: Piece) -> Volume {
    let [length_cm, width_cm, height_cm] = piece.sides;
    Volume { height_cm, width_cm, length_cm, weight_grams: piece.grams }
}

impl Content {
    fn with(mut self, piece: Piece, count: u64) -> Self {
        if count > 0 {
            for (side, of_piece) in self.sides.iter_mut().zip(piece.sides) {
                *side = of_piece.max(*side);
            }
        }
        let cubic = piece.sides.iter().fold(1_u64, |product, &side| product.saturating_mul(side.into()));
        self.cubic_cm = self.cubic_cm.saturating_add(cubic.saturating_mul(count));
        self.grams = self.grams.saturating_add(u64::from(piece.grams).saturating_mul(count));
        self
    }

    /// The box around the contents; `None`: they exceed a box.
    fn boxed(self) -> Option<Volume> {
        let mut sides = self.sides;
        let sum = |sides: &[u32; 3]| sides.iter().fold(0_u32, |sum, side| sum.saturating_add(*side));
        if self.grams > MAX_GRAMS || sides[0] > MAX_SIDE_CM {
            return None;
        }
        while sum(&sides) <= MAX_SUM_CM {
            if sides.iter().map(|&side| u64::from(side)).product::<u64>() >= self.cubic_cm {
                sides.sort_unstable_by(|a, b| b.cmp(a));
                let weight_grams = u32::try_from(self.grams).ok()?;
                return Some(alone(Piece { sides, grams: weight_grams }));
            }
            let shortest = (0..3).rev().min_by_key(|&i| sides[i])?;
            sides[shortest] += 1; // the loop ends: the volume grows with each step
        }
        None
    }

    /// How many of these pieces still fit, at most `wanted`. Found by bisection: if n pieces fit, so do fewer.
    fn room_for(self, piece: Piece, wanted: u64) -> u64 {
        let (mut fits, mut too_many) = (0, wanted + 1);
        while too_many - fits > 1 {
            let middle = fits + (too_many - fits) / 2;
            if self.with(piece, middle).boxed().is_some() {
                fits = middle;
            } else {
                too_many = middle;
            }
        }
        fits
    }
}

#[cfg(test)]
#[path = "packing_tests.rs"]
mod tests;
