//! A plot as SVG: a bar for each ratio, its lowest and highest round as a line, and what is wanted as a mark.

use std::fmt::Write;

pub struct Bar {
    pub label: String,
    /// Lowest, middle, highest.
    pub spread: [f64; 3],
    pub wanted: Option<f64>,
    pub is_kept: bool,
}

const LABELS: f64 = 430.0;
const SCALE: f64 = 400.0;
const LINE: f64 = 22.0;
const TOP: f64 = 44.0;

pub fn plot(title: &str, bars: &[Bar]) -> String {
    let most = bars.iter().flat_map(|bar| [bar.spread[2], bar.wanted.unwrap_or(1.0)]).fold(1.0, f64::max) * 1.05;
    let x = |ratio: f64| LABELS + ratio / most * SCALE;
    let (width, height) = (LABELS + SCALE + 60.0, TOP + bars.len() as f64 * LINE + 12.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"12\" y=\"24\" font-size=\"14\">{}</text>\n",
        escaped(title)
    );
    let one = x(1.0);
    writeln!(svg, "<line x1=\"{one:.1}\" x2=\"{one:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"#bbb\"/>", TOP - 8.0, height - 8.0)
        .unwrap();
    for (n, bar) in bars.iter().enumerate() {
        let [low, middle, high] = bar.spread.map(x);
        let y = TOP + n as f64 * LINE;
        let (text, centre) = (y + 12.0, y + 8.0);
        let colour = if bar.is_kept { "#3b7d4f" } else { "#b5562f" };
        writeln!(svg, "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>", LABELS - 8.0, escaped(&bar.label)).unwrap();
        writeln!(svg, "<rect x=\"{LABELS}\" y=\"{y}\" width=\"{:.1}\" height=\"16\" fill=\"{colour}\"/>", middle - LABELS)
            .unwrap();
        writeln!(
            svg,
            "<line x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{centre}\" y2=\"{centre}\" stroke=\"#222\" stroke-width=\"2\"/>"
        )
        .unwrap();
        if let Some(wanted) = bar.wanted.map(x) {
            writeln!(
                svg,
                "<line x1=\"{wanted:.1}\" x2=\"{wanted:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"#222\" stroke-dasharray=\"3 2\"/>",
                y - 2.0,
                y + 18.0
            )
            .unwrap();
        }
        writeln!(svg, "<text x=\"{:.1}\" y=\"{text}\">{:.2}</text>", high.max(middle) + 6.0, bar.spread[1]).unwrap();
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
