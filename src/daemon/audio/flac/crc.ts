/** The two checks of a FLAC frame (RFC 9639 §9.1.8, §9.3): CRC-8 over its header, CRC-16 over all of it. */

/** x⁸ + x² + x + 1. */
const CRC8 = Uint8Array.from({ length: 256 }, (_, byte) => remainder(byte, 0x07, 8));
/** x¹⁶ + x¹⁵ + x² + 1. */
export const CRC16: Uint16Array = Uint16Array.from({ length: 256 }, (_, byte) => remainder(byte << 8, 0x8005, 16));

function remainder(start: number, polynomial: number, bits: number): number {
  const top = 1 << (bits - 1);
  const mask = 2 * top - 1;
  let value = start;
  for (let bit = 0; bit < 8; bit++) value = (value & top ? (value << 1) ^ polynomial : value << 1) & mask;
  return value;
}

/** CRC-8 of the bytes from `start` to `end`. */
export function crc8(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0;
  for (let at = start; at < end; at++) crc = CRC8[crc ^ (bytes[at] ?? 0)] ?? 0;
  return crc;
}

/** CRC-16 of the bytes from `start` to `end`. Over a frame with its own CRC-16 it is 0. */
export function crc16(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0;
  for (let at = start; at < end; at++) crc = ((crc << 8) & 0xffff) ^ (CRC16[(crc >> 8) ^ (bytes[at] ?? 0)] ?? 0);
  return crc;
}
