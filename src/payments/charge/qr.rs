//! The picture of a BR Code, as a data URI.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fast_qr::{ECL, QRBuilder};

use crate::error::{Error, Result};

/// The quiet zone that the standard asks for, in modules.
const QUIET: usize = 4;
/// About how wide the picture is, in pixels: whole pixels per module decide.
const WIDTH: usize = 300;

/// `data:image/png;base64,…`: one bit per pixel, black on white.
pub fn data_uri(code: &str) -> Result<String> {
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png(code)?)))
}

fn png(code: &str) -> Result<Vec<u8>> {
    let broken = |e: &dyn std::fmt::Display| Error::Internal(format!("a QR code cannot be drawn: {e}"));
    let code = QRBuilder::new(code).ecl(ECL::M).build().map_err(|e| broken(&e))?;
    let modules = code.size;
    let scale = (WIDTH / (modules + 2 * QUIET)).max(1);
    let side = (modules + 2 * QUIET) * scale;
    let row_bytes = side.div_ceil(8);
    let mut pixels = vec![0xFF_u8; row_bytes * side];
    for (y, rows) in pixels.chunks_exact_mut(row_bytes * scale).skip(QUIET).take(modules).enumerate() {
        let (row, others) = rows.split_at_mut(row_bytes);
        for m in (0..modules).filter(|m| code[y][*m].value()) {
            let from = (m + QUIET) * scale;
            (from..from + scale).for_each(|x| row[x / 8] &= !(0x80 >> (x % 8)));
        }
        others.chunks_exact_mut(row_bytes).for_each(|other| other.copy_from_slice(row));
    }
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, side as u32, side as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_compression(png::Compression::Fast); // half a millisecond less, and 0.8 kB more
    let mut writer = encoder.write_header().map_err(|e| broken(&e))?;
    writer.write_image_data(&pixels).map_err(|e| broken(&e))?;
    writer.finish().map_err(|e| broken(&e))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_square_about_300_wide_with_a_quiet_zone_around_the_finder() {
        let file = png("000201").expect("a short text");
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut pixels).expect("a picture");
        assert_eq!((info.width, info.height, info.bit_depth), (290, 290, png::BitDepth::One)); // 29 modules of 10
        let is_dark = |x: usize, y: usize| pixels[y * info.line_size + x / 8] & (0x80 >> (x % 8)) == 0;
        assert!(!is_dark(39, 45) && is_dark(40, 40) && is_dark(109, 40) && !is_dark(110, 40)); // a finder is 7 modules wide
        assert!(is_dark(40, 249) && !is_dark(40, 250));
    }

    #[test]
    fn a_reader_finds_the_code_in_the_picture() {
        let text = "00020101021226770014br.gov.bcb.pix2555pix.example/qr/v2/9d36b84fc70b478fb95c12729b90ca255204000053039865802BR5913Loja da \
                    Maria6009SAO PAULO62070503***63041D3D";
        let file = png(text).expect("a usual code");
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut pixels).expect("a picture");
        let light = |x: usize, y: usize| if pixels[y * info.line_size + x / 8] & (0x80 >> (x % 8)) == 0 { 0 } else { 255 };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(info.width as usize, info.height as usize, light);
        let found: Vec<String> = image.detect_grids().iter().map(|grid| grid.decode().expect("readable").1).collect();
        assert_eq!(found, [text]);
    }

    #[test]
    fn the_longest_code_fits() {
        assert!(data_uri(&"A".repeat(512)).expect("512 characters").starts_with("data:image/png;base64,iVBOR"));
    }
}
