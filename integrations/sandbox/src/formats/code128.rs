//! Code 128: the bar code of an access key. Digits go by pairs (set C), a CNPJ with letters one by one (set B).

/// Widths of bar, gap, bar … of each value. The last one is the stop.
const PATTERNS: [&str; 107] = [
    "212222", "222122", "222221", "121223", "121322", "131222", "122213", "122312", "132212", "221213", "221312", "231212",
    "112232", "122132", "122231", "113222", "123122", "123221", "223211", "221132", "221231", "213212", "223112", "312131",
    "311222", "321122", "321221", "312212", "322112", "322211", "212123", "212321", "232121", "111323", "131123", "131321",
    "112313", "132113", "132311", "211313", "231113", "231311", "112133", "112331", "132131", "113123", "113321", "133121",
    "313121", "211331", "231131", "213113", "213311", "213131", "311123", "311321", "331121", "312113", "312311", "332111",
    "314111", "221411", "431111", "111224", "111422", "121124", "121421", "141122", "141221", "112214", "112412", "122114",
    "122411", "142112", "142211", "241211", "221114", "413111", "241112", "134111", "111242", "121142", "121241", "114212",
    "124112", "124211", "411212", "421112", "421211", "212141", "214121", "412121", "111143", "111341", "131141", "114113",
    "114311", "411113", "411311", "113141", "114131", "311141", "411131", "211412", "211214", "211232", "2331112",
];
const TO_C: usize = 99;
const TO_B: usize = 100;
const START_C: usize = 105;
const STOP: usize = 106;

/// Each bar as its place and width, in modules, and the width of all of it.
pub(crate) fn bars(key: &str) -> (Vec<(u32, u32)>, u32) {
    let (mut bars, mut at) = (Vec::new(), 0);
    for value in values(key) {
        for (i, width) in PATTERNS[value].bytes().map(|width| u32::from(width - b'0')).enumerate() {
            if i % 2 == 0 {
                bars.push((at, width));
            }
            at += width;
        }
    }
    (bars, at)
}

/// Start, data, check, stop. What is not ASCII has no bars.
fn values(text: &str) -> Vec<usize> {
    let (mut values, mut rest, mut is_c) = (vec![START_C], text.as_bytes(), true);
    while let Some(&first) = rest.first() {
        let pair = rest.get(..2).filter(|pair| pair.iter().all(u8::is_ascii_digit));
        // Into the CNPJ with letters and out again; four digits are the least that a change is worth.
        let wants_c = if is_c { pair.is_some() } else { rest.len() >= 4 && rest[..4].iter().all(u8::is_ascii_digit) };
        if wants_c != is_c {
            values.push(if wants_c { TO_C } else { TO_B });
            is_c = wants_c;
        }
        match pair.filter(|_| is_c) {
            Some(pair) => {
                values.push(usize::from(pair[0] - b'0') * 10 + usize::from(pair[1] - b'0'));
                rest = &rest[2..];
            }
            None => {
                values.push(usize::from(first.clamp(32, 127) - 32));
                rest = &rest[1..];
            }
        }
    }
    let weighed: usize = values.iter().enumerate().map(|(at, value)| at.max(1) * value).sum();
    values.extend([weighed % 103, STOP]);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_eleven_modules_and_none_is_there_twice() {
        let width = |pattern: &str| pattern.bytes().map(|b| u32::from(b - b'0')).sum::<u32>();
        assert!(PATTERNS[..106].iter().all(|pattern| width(pattern) == 11));
        assert_eq!(width(PATTERNS[106]), 13);
        assert_eq!(PATTERNS.iter().collect::<std::collections::BTreeSet<_>>().len(), 107);
    }

    #[test]
    fn digits_go_by_pairs_and_letters_one_by_one() {
        let plain = "35261011222333000181550010000001231481516233";
        assert_eq!(values(plain).len(), 1 + 22 + 2);
        assert_eq!(bars(plain).1, 24 * 11 + 13);
        assert_eq!(values("1234"), [105, 12, 34, (105 + 12 + 2 * 34) % 103, 106]);
        let lettered = values("35261012ABC34501DE35550010000001231481516234");
        assert_eq!(lettered[..6], [105, 35, 26, 10, 12, TO_B]);
        assert_eq!(lettered[6..9], [33, 34, 35], "A, B, C");
        assert!(lettered.contains(&TO_C));
    }
}
