/** Fixed seeds of the storage simulator. */
import { describe, expect, it } from 'vitest';
import type { RaftWrite } from '../../../broker/raft/types.ts';
import { replaceFile } from '../../../broker/storage/file-system.ts';
import { FileQuorumLog } from '../../../broker/storage/quorum-log.ts';
import { simulatedDisk } from '../../contract/simulated.ts';
import { runWorld } from './run-world.ts';

const SEED_COUNT = 18;
const SEEDS_PER_TEST = 6;

describe('storage under kills and power loss keeps what it answered', () => {
  for (let first = 1; first <= SEED_COUNT; first += SEEDS_PER_TEST) {
    it(`seeds ${first} to ${first + SEEDS_PER_TEST - 1}`, async () => {
      for (let seed = first; seed < first + SEEDS_PER_TEST; seed += 1)
        expect((await runWorld({ seed, processes: 5, steps: 60 })).operations).toBeGreaterThan(0);
    });
  }

  it('seeds 1 to 12, with deletions and full volumes', async () => {
    const counts: Record<string, number> = {};
    for (let seed = 1; seed <= 12; seed += 1) {
      const options = { seed, processes: 5, steps: 60, hasStrikes: true };
      for (const [what, count] of Object.entries((await runWorld(options)).counts))
        counts[what] = (counts[what] ?? 0) + count;
    }
    for (const what of ['delete', 'squeeze', 'refused', 'lost'])
      expect(counts[what] ?? 0, what).toBeGreaterThan(0);
  });

  it('seed 587, a deletion for which there was no room, with an epoch before the start', async () => {
    const options = { seed: 587, processes: 5, steps: 60, hasStrikes: true };
    expect((await runWorld(options)).counts['delete']).toBeGreaterThan(0);
  });

  it('has every kind of start and of change in these seeds', async () => {
    const counts: Record<string, number> = {};
    for (let seed = 1; seed <= 8; seed += 1)
      for (const [what, count] of Object.entries((await runWorld({ seed, processes: 5 })).counts))
        counts[what] = (counts[what] ?? 0) + count;
    for (const what of [
      'append',
      'truncate',
      'reset',
      'retire',
      'quorum',
      'reopen',
      'clean',
      'warm',
      'lossy',
      'damage',
    ])
      expect(counts[what] ?? 0, what).toBeGreaterThan(0);
  });

  it('does the same in every run of a seed', async () => {
    const { hash } = await runWorld({ seed: 3, processes: 4 });
    expect((await runWorld({ seed: 3, processes: 4 })).hash).toBe(hash);
    expect((await runWorld({ seed: 4, processes: 4 })).hash).not.toBe(hash);
  });
});

describe('replaceFile', () => {
  it('brings back nothing that an earlier attempt left, whatever power loss takes', async () => {
    const found = new Set<string>();
    for (let seed = 1; seed <= 200; seed += 1) {
      const { disk, end } = simulatedDisk(seed);
      const files = disk.mount();
      await replaceFile(files, '/other', Buffer.from('old'), 'durable');
      await files.rename('/other', '/name.tmp');
      await files.syncFolder('/');
      await replaceFile(files, '/name', Buffer.from('new'), 'hint');
      disk.losePower();
      const content = disk.volume.contentOf('/name');
      found.add(content === null ? 'none' : Buffer.from(content).toString());
      end();
    }
    expect(found).toContain('new');
    expect(found).toContain('none');
    expect(found).not.toContain('old');
  });
});

describe('the quorum log', () => {
  it('answers after a failed sync only for what is on the disk (P1)', async () => {
    const { disk, end } = simulatedDisk(1);
    disk.volume.makeFolder('/quorum');
    disk.volume.node('/').sync(1);
    const open = (): FileQuorumLog =>
      new FileQuorumLog({
        files: disk.mount(),
        folder: '/quorum',
        isFormatted: true,
        onFailure: () => {},
        onShortage: () => {},
      });
    const log = open();
    await log.create();
    for (const term of [1, 2]) await log.write([voteOf(term)]);
    disk.faults.add({ kinds: ['datasync'], fault: { kind: 'error', code: 'EIO' } });
    await expect(log.write([voteOf(3)])).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    disk.crash();
    const { hardState } = await open().load();
    disk.losePower();
    expect((await open().load()).hardState).toEqual(hardState);
    end();
  });
});

function voteOf(term: number): RaftWrite {
  return { id: term, kind: 'hard-state', hardState: { term, vote: null } };
}
