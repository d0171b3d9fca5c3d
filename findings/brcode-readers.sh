#!/usr/bin/env bash
# BR Codes of PIX: four npm packages that read them do not agree, and one that writes them makes codes that three of them refuse.
#
# faz-um-pix 2.0.2 computes the CRC over UTF-16 code units; pix-utils 2.8.2, validation-br 2.0.0 and @brazilian-utils/brazilian-utils
# 2.4.0 over UTF-8 bytes. For a merchant "Padaria São João" they refuse its code; @pix.js/qrcode 1.1.0 reads it, as it checks no CRC.
# All four count a field's length in characters: a code whose lengths are UTF-8 bytes is refused. A CRC in small hexadecimal digits is
# refused by pix-utils and validation-br alone.
. "$(dirname "$0")/lib.sh"
with_node faz-um-pix@2.0.2 pix-utils@2.8.2 validation-br@2.0.0 @brazilian-utils/brazilian-utils@2.4.0 @pix.js/qrcode@1.1.0

cat >finding.mjs <<'JS'
import { createRequire } from 'node:module';
import { isPixCopyPaste } from 'validation-br';
const require = createRequire(import.meta.url);
const { Pix } = require('faz-um-pix');
const pixUtils = require('pix-utils');
const brazilianUtils = require('@brazilian-utils/brazilian-utils');
const pixJs = require('@pix.js/qrcode');

const KEY = '9d36b84f-c70b-478f-b95c-12729b90ca25';
function crc16(bytes) {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc.toString(16).toUpperCase().padStart(4, '0');
}
function code(name, length) {
  const field = (id, value) => id + String(length(value)).padStart(2, '0') + value;
  const body = '000201' + field('26', field('00', 'br.gov.bcb.pix') + field('01', KEY)) + '52040000' + '5303986' + '5802BR' +
    field('59', name) + field('60', 'SAO PAULO') + field('62', field('05', 'PED7')) + '6304';
  return body + crc16(Buffer.from(body, 'utf8'));
}
function reads(check) {
  try { return check() ? 'yes' : 'no'; } catch { return 'no'; }
}
const characters = (text) => text.length, bytes = (text) => Buffer.byteLength(text);
const plain = code('PADARIA', characters);
const codes = {
  'plain': plain,
  'accents, lengths in characters': code('Padaria São João', characters),
  'accents, lengths in bytes': code('Padaria São João', bytes),
  'crc in small letters': plain.slice(0, -4) + plain.slice(-4).toLowerCase(),
  'faz-um-pix, plain': await Pix(KEY, 'PADARIA', 'SAO PAULO', '10.50', '', false),
  'faz-um-pix, accents': await Pix(KEY, 'Padaria São João', 'São Paulo', '10.50', '', false),
};
console.log('code | pix-utils | validation-br | brazilian-utils | @pix.js/qrcode');
for (const [name, text] of Object.entries(codes)) {
  console.log([name,
    reads(() => !pixUtils.hasError(pixUtils.parsePix(text))),
    reads(() => isPixCopyPaste(text)),
    reads(() => brazilianUtils.isValidPixPayload(text)),
    reads(() => pixJs.parseStaticPix(text)),
  ].join(' | '));
}
JS
node finding.mjs >seen
same seen <<'SEEN'
code | pix-utils | validation-br | brazilian-utils | @pix.js/qrcode
plain | yes | yes | yes | yes
accents, lengths in characters | yes | yes | yes | yes
accents, lengths in bytes | no | no | no | no
crc in small letters | no | no | yes | yes
faz-um-pix, plain | yes | yes | yes | yes
faz-um-pix, accents | no | no | no | yes
SEEN
