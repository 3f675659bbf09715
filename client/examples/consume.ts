/**
 * Reads a topic, saves how far it came, and resumes there when it is run again. The position is
 * saved after the records are processed, so a crash in between processes some of them twice, and
 * never skips one.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Position } from '../index.ts';

const FILE = join(tmpdir(), 'tidemark-example-positions.json');
const client = connect({
  servers: process.env['TIDEMARK_SERVER'] ?? '127.0.0.1:9641,127.0.0.1:9642,127.0.0.1:9643',
});
const consumer = client.consumer({
  topic: 'orders',
  from: 'earliest',
  positions: await load(),
  follow: false,
});
const utf8 = new TextDecoder();

for await (const { partition, records } of consumer) {
  for (const { offset, value } of records)
    process.stdout.write(
      `${partition}/${offset} ${value === null ? '(deleted)' : utf8.decode(value)}\n`,
    );
  await save(consumer.positions());
}
await client.close();

async function load(): Promise<Position[]> {
  try {
    return JSON.parse(await readFile(FILE, 'utf8')) as Position[];
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

/** Whole or not at all: a torn file would lose the place. */
async function save(positions: readonly Position[]): Promise<void> {
  await writeFile(`${FILE}.new`, JSON.stringify(positions));
  await rename(`${FILE}.new`, FILE);
}
