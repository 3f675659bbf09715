import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tarOf } from '../../../../client/cli/tar.ts';

describe('tarOf', () => {
  it('is read by tar, byte for byte', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-tar-'));
    try {
      const sizes = [0, 1, 511, 512, 513, 70_000];
      const files = sizes.map((size) => ({
        name: `folder/of-${size}`,
        content: new Uint8Array(size).fill(size),
      }));
      writeFileSync(join(folder, 'all.tar'), tarOf(files, 1_700_000_000_000));
      execFileSync('tar', ['-xf', 'all.tar'], { cwd: folder });
      for (const { name, content } of files)
        expect(Buffer.compare(readFileSync(join(folder, name)), content), name).toBe(0);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('refuses a name that does not fit', () => {
    const content = new Uint8Array(0);
    expect(() => tarOf([{ name: 'x'.repeat(101), content }], 0)).toThrow(RangeError);
  });
});
