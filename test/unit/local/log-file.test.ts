import { mkdirSync, mkdtempSync, readFileSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { LogFile } from '../../../local/log-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'tidemark-log-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('LogFile appends, and says once that lines are lost, and once that no more are', () => {
  const told: string[] = [];
  const path = join(folder, 'broker.log');
  // A folder stands where the file should: nothing can be written.
  mkdirSync(path);
  const log = new LogFile(path, (text) => told.push(text));
  log.write(Buffer.from('lost\n'));
  log.write(Buffer.from('lost too\n'));
  expect(told).toEqual([expect.stringMatching(/broker\.log is not written: EISDIR/)]);
  rmdirSync(path);
  log.write(Buffer.from('kept\n'));
  log.write(Buffer.from('kept too\n'));
  expect(told.slice(1)).toEqual([`${path} is written again, without 14 bytes before`]);
  log.close();
  expect(readFileSync(path, 'utf8')).toBe('kept\nkept too\n');
});

it('LogFile says that the disk is full', () => {
  const told: string[] = [];
  const log = new LogFile('/dev/full', (text) => told.push(text));
  log.write(Buffer.from('lost\n'));
  expect(told).toEqual(['/dev/full is not written: the disk is full']);
  log.close();
});
