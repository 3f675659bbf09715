import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { counted, nodeFileSystem } from '../../../../broker/storage/file-system.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-counted-'));
});

afterEach(() => rm(folder, { recursive: true }));

it('tells of the bytes that were written and read, and not of those that were asked for', async () => {
  const told: number[] = [];
  const files = counted(nodeFileSystem, (bytes) => told.push(bytes));
  const file = await files.open(join(folder, 'log'), 'write');

  await files.writev(file, [Buffer.from('five '), Buffer.from('and more')], 0);
  const into = Buffer.alloc(100);
  const read = await files.read(file, into, 5);
  await files.close(file);

  expect(into.subarray(0, read).toString()).toBe('and more');
  expect(told).toEqual([13, 8]);
});
