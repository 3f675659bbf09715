/** What of a segment no test of a whole log can bring about at will. */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../../broker/storage/file-system.ts';
import { Segment } from '../../../../broker/storage/segment.ts';
import type { Volume } from '../../../../broker/storage/volume.ts';
import { TARGET } from '../../../fixtures/keyed-log.ts';
import { temporaryFolder, TestClock } from './fixture.ts';

describe('Segment.saveIndex()', () => {
  it('takes calls at the same time: a flush meets the beginning of another segment', async () => {
    const folder = temporaryFolder();
    const volume = { files: nodeFileSystem, control: nodeFileSystem, clock: new TestClock() };
    const file = { volume: volume as unknown as Volume, folder, target: TARGET, baseOffset: 0 };
    for (let round = 0; round < 20; round += 1) {
      const segment = Segment.empty(file);
      await Promise.all([segment.saveIndex(0), segment.saveIndex(0), segment.saveIndex(0)]);
    }
    const stem = '0'.repeat(20);
    expect(readdirSync(folder).sort()).toEqual([`${stem}.index`, `${stem}.timeindex`]);
  });
});
