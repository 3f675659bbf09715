/**
 * Writes a tar archive of small files, in the format that every tar reads (POSIX.1-1988, ustar).
 * Compresses nothing, and knows no files but those it is given.
 */

export interface TarFile {
  /** At most {@link NAME_BYTES_MAX} bytes, without `..`. */
  readonly name: string;
  readonly content: Uint8Array;
}

const BLOCK_BYTES = 512;
export const NAME_BYTES_MAX = 100;
/** Of the field for the size, eleven octal digits. */
const FILE_BYTES_MAX = 8 ** 11 - 1;

/** The archive. `atMs`: time of change of every file. Throws RangeError for a name or size. */
export function tarOf(files: readonly TarFile[], atMs: number): Buffer {
  const parts = files.flatMap(({ name, content }) => [
    header(name, content.length, atMs),
    content,
    Buffer.alloc(-content.length & (BLOCK_BYTES - 1)),
  ]);
  // Two empty blocks end an archive.
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)]);
}

function header(name: string, bytes: number, atMs: number): Buffer {
  const nameBytes = Buffer.from(name);
  if (nameBytes.length > NAME_BYTES_MAX || bytes > FILE_BYTES_MAX)
    throw new RangeError(`cannot archive "${name}" of ${bytes} bytes: name or file is too long`);
  const block = Buffer.alloc(BLOCK_BYTES);
  nameBytes.copy(block, 0);
  block.write('0000644\0', 100, 'latin1');
  block.write('0000000\0', 108, 'latin1');
  block.write('0000000\0', 116, 'latin1');
  block.write(`${octal(bytes)}\0`, 124, 'latin1');
  block.write(`${octal(Math.floor(atMs / 1_000))}\0`, 136, 'latin1');
  // While the checksum is taken its own field counts as spaces.
  block.write(' '.repeat(8), 148, 'latin1');
  block.write('0', 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function octal(value: number): string {
  return value.toString(8).padStart(11, '0');
}
