/**
 * Transcripts of the partition core. `UPDATE_TRANSCRIPTS=1` writes them anew: review the
 * difference, never take it unread.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Transcript } from './transcript.ts';

/** Lines of a block before `----` are commands (or comments), those after it what came of them. */
function replay(text: string): string {
  const transcript = new Transcript();
  const blocks = text.trimEnd().split('\n\n');
  const replayed = blocks.map((block) => {
    const [commands = ''] = block.split('\n----');
    const output = commands
      .split('\n')
      .filter((line) => !line.startsWith('#'))
      .flatMap((line) => transcript.run(line));
    return [commands, '----', ...output].join('\n');
  });
  return `${replayed.join('\n\n')}\n`;
}

describe('Partition transcripts', () => {
  for (const file of readdirSync(import.meta.dirname).filter((name) => name.endsWith('.txt'))) {
    it(file.replace('.txt', '').replaceAll('-', ' '), () => {
      const path = join(import.meta.dirname, file);
      const text = readFileSync(path, 'utf8');
      const replayed = replay(text);
      if (process.env['UPDATE_TRANSCRIPTS'] === '1') writeFileSync(path, replayed);
      expect(replayed).toBe(process.env['UPDATE_TRANSCRIPTS'] === '1' ? replayed : text);
    });
  }
});
