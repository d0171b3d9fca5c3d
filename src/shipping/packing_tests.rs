use proptest::prelude::*;
use vitrine_kit::Money;

use super::*;

fn item(sides: [u32; 3], grams: u32, quantity: u32) -> ParcelItem {
    let [length_cm, width_cm, height_cm] = sides;
    let (id, unit_price) = (String::new(), Money::from_cents(100));
    ParcelItem { id, quantity, weight_grams: grams, height_cm, width_cm, length_cm, unit_price }
}

/// Length, width, height and grams of each box.
fn packed(items: &[ParcelItem]) -> Vec<[u32; 4]> {
    pack(items).iter().map(|v| [v.length_cm, v.width_cm, v.height_cm, v.weight_grams]).collect()
}

#[test]
fn one_piece_travels_in_its_own_package() {
    assert_eq!(packed(&[item([5, 20, 15], 300, 1)]), [[20, 15, 5, 300]]);
}

#[test]
fn the_stated_rule_gives_these_boxes() {
    // Two mugs of 17 x 11 x 11: 4,114 cm³, so the two short sides grow to 16.
    assert_eq!(packed(&[item([17, 11, 11], 300, 2)]), [[17, 16, 16, 600]]);
    // Ten shirts of 20 x 15 x 5 fill 25 x 25 x 24 to the last cubic centimetre.
    assert_eq!(packed(&[item([20, 15, 5], 300, 10)]), [[25, 25, 24, 3_000]]);
    // A poster beside them keeps its length.
    assert_eq!(packed(&[item([20, 15, 5], 300, 1), item([90, 5, 5], 200, 1)]), [[90, 15, 5, 500]]);
    // A box takes 30 kg: the third dumbbell needs another one.
    assert_eq!(packed(&[item([30, 15, 15], 12_000, 3)]), [[30, 22, 21, 24_000], [30, 15, 15, 12_000]]);
    // And 200 cm: two of these chairs are too much for one box.
    assert_eq!(packed(&[item([80, 50, 50], 8_000, 2)]), [[80, 50, 50, 8_000], [80, 50, 50, 8_000]]);
}

#[test]
fn what_fits_no_box_travels_alone_and_disturbs_no_other() {
    for giant in [item([120, 10, 10], 1_000, 1), item([100, 60, 41], 1_000, 1), item([30, 30, 30], 31_000, 1)] {
        let boxes = packed(&[item([20, 15, 5], 300, 1), giant.clone(), item([20, 15, 5], 300, 1)]);
        assert_eq!(boxes[0], [giant.length_cm, giant.width_cm, giant.height_cm, giant.weight_grams]);
        assert_eq!(boxes[1..], [[20, 15, 10, 600]]);
    }
}

#[test]
fn a_parcel_of_too_many_boxes_is_none_and_is_found_out_quickly() {
    assert_eq!(packed(&[item([30, 15, 15], 30_000, 50)]).len(), 50);
    assert_eq!(packed(&[item([30, 15, 15], 30_000, 51)]).len(), 0);
    let many: Vec<ParcelItem> = (1..=100).map(|n| item([n, n, n], 1_000_000, 9_999)).collect();
    assert_eq!(packed(&many).len(), 0);
    assert_eq!(packed(&[item([u32::MAX; 3], u32::MAX, u32::MAX)]).len(), 0);
    assert_eq!(packed(&[]).len(), 0);
}

fn items() -> impl Strategy<Value = Vec<ParcelItem>> {
    let side = || 1_u32..110;
    prop::collection::vec(((side(), side(), side()), 1_u32..32_000, 1_u32..4), 1..8)
        .prop_map(|all| all.into_iter().map(|((a, b, c), grams, quantity)| item([a, b, c], grams, quantity)).collect())
}

fn descending(volume: &Volume) -> [u32; 3] {
    [volume.length_cm, volume.width_cm, volume.height_cm]
}

fn cubic(sides: [u32; 3]) -> u64 {
    sides.iter().map(|&side| u64::from(side)).product()
}

proptest! {
    #[test]
    fn nothing_is_lost_and_no_box_is_smaller_than_its_goods(items in items()) {
        let boxes = pack(&items);
        let grams = |all: &[ParcelItem]| all.iter().map(|i| u64::from(i.weight_grams) * u64::from(i.quantity)).sum::<u64>();
        prop_assert_eq!(boxes.iter().map(|b| u64::from(b.weight_grams)).sum::<u64>(), grams(&items));
        let volume: u64 = items.iter().map(|i| cubic([i.length_cm, i.width_cm, i.height_cm]) * u64::from(i.quantity)).sum();
        prop_assert!(boxes.iter().map(|b| cubic(descending(b))).sum::<u64>() >= volume);
        for item in &items {
            let mut sides = [item.length_cm, item.width_cm, item.height_cm];
            sides.sort_unstable_by(|a, b| b.cmp(a));
            let holds = |b: &Volume| descending(b).iter().zip(&sides).all(|(outer, inner)| outer >= inner);
            prop_assert!(boxes.iter().any(|b| holds(b) && b.weight_grams >= item.weight_grams), "{item:?} is in none of {boxes:?}");
        }
    }

    #[test]
    fn a_box_keeps_the_limits_or_holds_one_piece_that_does_not(items in items()) {
        for volume in pack(&items) {
            let sides = descending(&volume);
            let keeps = sides[0] <= MAX_SIDE_CM && sides.iter().sum::<u32>() <= MAX_SUM_CM && u64::from(volume.weight_grams) <= MAX_GRAMS;
            let is_one = items.iter().any(|i| {
                let mut own = [i.length_cm, i.width_cm, i.height_cm];
                own.sort_unstable_by(|a, b| b.cmp(a));
                own == sides && i.weight_grams == volume.weight_grams
            });
            prop_assert!(keeps || is_one, "{volume:?}");
            prop_assert!(sides.is_sorted_by(|a, b| a >= b));
        }
    }

    #[test]
    fn the_order_of_a_cart_does_not_matter(items in items(), turn in 0_usize..8) {
        let mut turned = items.clone();
        turned.rotate_left(turn % items.len());
        prop_assert_eq!(pack(&items), pack(&turned));
        turned.reverse();
        prop_assert_eq!(pack(&items), pack(&turned));
        let apart: Vec<ParcelItem> = items.iter().flat_map(|i| (0..i.quantity).map(|_| ParcelItem { quantity: 1, ..i.clone() })).collect();
        prop_assert_eq!(pack(&items), pack(&apart), "two of one line are two lines of one");
    }

    #[test]
    fn one_piece_more_never_makes_fewer_boxes_or_a_smaller_one(items in items(), more in items()) {
        let mut larger = items.clone();
        larger.push(ParcelItem { quantity: 1, ..more[0].clone() });
        let (before, after) = (pack(&items), pack(&larger));
        prop_assert!(after.len() >= before.len(), "{before:?} {after:?}");
        if let ([before], [after]) = (&before[..], &after[..]) {
            let sum = |v: &Volume| descending(v).iter().sum::<u32>();
            prop_assert!(sum(after) >= sum(before) && after.weight_grams > before.weight_grams);
        }
    }
}
