import { PassThrough, Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { Output } from '../../../../client/cli/output.ts';

describe('Output.table()', () => {
  it('shows what a member says of itself without letting it write to the terminal', () => {
    const stdout = new PassThrough();
    const out = new Output('table', {
      ...{ stdin: Readable.from([]), stdout, stderr: new PassThrough(), env: {} },
      interrupted: new AbortController().signal,
    });
    out.table(
      ['CLIENT', 'LEASED'],
      [
        ['\u001b[2J worker\u202e', 3],
        ['a\nb', 12],
      ],
    );
    const lines: string[] = [];
    const read = (): Buffer | null => stdout.read() as Buffer | null;
    for (let line = read(); line !== null; line = read())
      lines.push(...line.toString().trimEnd().split('\n'));
    expect(lines.map((line) => line.split(/ {2,}/))).toEqual([
      ['CLIENT', 'LEASED'],
      ['\\u001b[2J worker\\u202e', '3'],
      ['a\\nb', '12'],
    ]);
  });
});
