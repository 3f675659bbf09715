import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Group } from './group.ts';

const FOLDER = import.meta.dirname;

/**
 * Runs every command of a transcript and puts what happened in place of what it says. Lines that
 * start with # are comments.
 */
function replay(transcript: string): string {
  const group = new Group();
  const blocks = transcript.split('\n\n').filter((block) => block.trim() !== '');
  return `${blocks
    .map((block) => {
      const said = block.split('\n----')[0]?.trim() ?? '';
      const commands = said.split('\n').filter((line) => !line.startsWith('#'));
      if (commands.length === 0) return said;
      return `${said}\n----\n${
        commands
          .map((command) => group.run(command))
          .filter((lines) => lines !== 'ok')
          .join('\n') || 'ok'
      }`;
    })
    .join('\n\n')}\n`;
}

for (const file of readdirSync(FOLDER)
  .filter((name) => name.endsWith('.txt'))
  .sort()) {
  test(`transcript ${file} (UPDATE_TRANSCRIPTS=1 writes it anew)`, () => {
    const path = join(FOLDER, file);
    const transcript = readFileSync(path, 'utf8');
    const replayed = replay(transcript);
    if (process.env['UPDATE_TRANSCRIPTS'] === '1') writeFileSync(path, replayed);
    else expect(replayed).toBe(transcript);
  });
}
