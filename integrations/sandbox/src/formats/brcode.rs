//! BR Code (EMV merchant-presented): the text behind a PIX QR, and its picture.

use fast_qr::QRBuilder;

/// Pixels per module, and the quiet zone in modules.
const SCALE: usize = 4;
const QUIET: usize = 4;

/// The code of a dynamic charge. `url` is without scheme, at most 77 characters; all text is ASCII.
pub(crate) fn dynamic(url: &str, name: &str, city: &str) -> String {
    dynamic_of(url, "", name, city, "***")
}

/// The same with an amount (`185.00`, or nothing) and a txid of at most 25 characters, as some providers write it.
pub(crate) fn dynamic_of(url: &str, amount: &str, name: &str, city: &str, txid: &str) -> String {
    let amount = if amount.is_empty() { String::new() } else { field("54", amount) };
    let account = field("00", "br.gov.bcb.pix") + &field("25", url);
    let code = field("00", "01")
        + &field("01", "12")
        + &field("26", &account)
        + &field("52", "0000")
        + &field("53", "986")
        + &amount
        + &field("58", "BR")
        + &field("59", name)
        + &field("60", city)
        + &field("62", &field("05", txid))
        + "6304";
    let crc = crc16(code.as_bytes());
    format!("{code}{crc:04X}")
}

fn field(id: &str, value: &str) -> String {
    format!("{id}{:02}{value}", value.len())
}

/// CRC-16/CCITT-FALSE.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 })
    })
}

/// A black and white PNG, one bit per pixel. `None` when the text is too long for a QR code.
pub(crate) fn qr_png(text: &str) -> Option<Vec<u8>> {
    let code = QRBuilder::new(text).build().ok()?;
    let modules = code.size;
    let side = (modules + 2 * QUIET) * SCALE;
    let dark = |x: usize, y: usize| {
        let (Some(x), Some(y)) = ((x / SCALE).checked_sub(QUIET), (y / SCALE).checked_sub(QUIET)) else {
            return false;
        };
        x < modules && y < modules && code[y][x].value()
    };
    let row_bytes = side.div_ceil(8);
    let mut pixels = vec![0xFF_u8; row_bytes * side];
    for y in 0..side {
        for x in (0..side).filter(|&x| dark(x, y)) {
            pixels[y * row_bytes + x / 8] &= !(0x80 >> (x % 8));
        }
    }
    let mut out = Vec::new();
    let side = u32::try_from(side).ok()?;
    let mut encoder = png::Encoder::new(&mut out, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_compression(png::Compression::Fast);
    encoder.write_header().ok()?.write_image_data(&pixels).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_the_documented_one() {
        assert_eq!(crc16(b"123456789"), 0x29B1);
    }

    #[test]
    fn codes_of_the_manual_carry_the_crc_we_compute() {
        for code in [
            "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***63041D3D",
            "00020126580014br.gov.bcb.pix0136123e4567-e89b-12d3-a456-426614174000520400005303986540518.505802BR5912LOJA VITRINE6009SAO PAULO62160512PEDIDO0001236304E1E3",
        ] {
            let (body, crc) = code.split_at(code.len() - 4);
            assert_eq!(format!("{:04X}", crc16(body.as_bytes())), crc);
        }
    }

    #[test]
    fn a_dynamic_code_is_the_documented_one() {
        assert_eq!(
            dynamic("pix.example.com/qr/v2/2353c790eefb11eaadc10242ac120002", "LOJA VITRINE", "SAO PAULO"),
            "00020101021226760014br.gov.bcb.pix2554pix.example.com/qr/v2/2353c790eefb11eaadc10242ac1200025204000053039865802BR5912LOJA VITRINE6009SAO PAULO62070503***630455B0",
        );
    }

    #[test]
    fn the_picture_is_a_square_png_with_a_quiet_zone() {
        let file = qr_png("000201").expect("short text fits");
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        let info = reader.next_frame(&mut pixels).expect("one frame");
        assert_eq!((info.width, info.height), (116, 116)); // version 1: 21 modules
        let row = |y: usize| &pixels[y * info.line_size..(y + 1) * info.line_size];
        assert_eq!(row(0)[0], 0xFF); // quiet
        assert_eq!(row(16)[2], 0x00); // the finder pattern begins
    }
}
