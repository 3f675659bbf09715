import { describe, expect, it } from 'vitest';
import { makeDurableFolder } from '../../../../broker/storage/partition-folders.ts';
import { simulatedDisk } from '../../../contract/simulated.ts';

/** Power loss takes what was not synced by chance. */
const SEEDS = 12;

describe('makeDurableFolder()', () => {
  it.each(['/data/partitions', '/var/lib/data/partitions', 'data/partitions', './data/partitions'])(
    'makes %s and every folder above it durable',
    async (path) => {
      for (let seed = 1; seed <= SEEDS; seed += 1) {
        const { disk, end } = simulatedDisk(seed);
        await makeDurableFolder(disk.mount(), path);
        disk.losePower();
        expect(disk.volume.node(path).kind, `seed ${seed}`).toBe('folder');
        end();
      }
    },
  );
});
