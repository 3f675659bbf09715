/**
 * CRC-32 of zlib, gzip and PNG (reflected polynomial 0xEDB88320), one table lookup per byte. Pure.
 * For the simulator and as the obvious version to test against; processes pass the native one of
 * `node:zlib`, which is 20 times as fast. Source: W3C PNG specification, annex D.
 */

const TABLE = new Uint32Array(256).map((_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/**
 * Checksum of `bytes`; `seed` is the checksum of the bytes before them. The same results as `crc32`
 * of `node:zlib`.
 */
export function crc32Table(bytes: Uint8Array, seed = 0): number {
  let crc = ~seed;
  for (const byte of bytes) crc = (TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}
