/**
 * What a power loss may take once it was shown again, or cut away (P6,
 * docs/rules.md#restart-classes).
 */
import { afterEach, describe, expect, it } from 'vitest';
import type { Disk, PartitionLog } from '../../../../broker/runtime/ports.ts';
import { openDisk } from '../../../../broker/storage/disk.ts';
import { simulatedDisk } from '../../../contract/simulated.ts';
import type { FaultRule } from '../../../sim/kit/disk-faults.ts';
import { bytesOf, frames, headersOf, LOG_OPTIONS, META, SILENT, TOPIC } from './fixture.ts';

/** Each takes other files, or none. */
const SEEDS = Array.from({ length: 12 }, (_, index) => index + 1);
const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** One machine: its disk, and the broker's storage as each start opens it. */
class Machine {
  readonly #simulated;
  #boot = 1;

  constructor(seed: number) {
    this.#simulated = simulatedDisk(seed);
    ends.push(this.#simulated.end);
    const { volume } = this.#simulated.disk;
    volume.makeFolder('/data');
    volume.node('/').sync(1);
  }

  /** @param onCut what happens once a file has been cut, and not emptied */
  async start(
    options = LOG_OPTIONS,
    onCut: () => void = () => {},
  ): Promise<{ readonly disk: Disk; readonly log: PartitionLog }> {
    const files = this.#simulated.disk.mount();
    const truncate = files.truncate.bind(files);
    files.truncate = async (file, bytes) => {
      await truncate(file, bytes);
      if (bytes > 0) onCut();
    };
    const disk = await openDisk({
      dataDir: '/data',
      podUid: 'pod',
      clock: { ...this.#clock, every: () => () => {}, after: () => () => {} },
      logger: SILENT,
      reserveBytes: 0,
      bootId: String(this.#boot),
      files,
      lock: () => () => {},
    });
    if (disk.start.meta === null) await disk.format(META);
    await disk.writeSession(disk.start.sessionEpoch + 1);
    return { disk, log: await disk.openPartition(TOPIC, 0, options) };
  }

  kill(): void {
    this.#simulated.disk.crash();
  }

  /** Resolves when it was killed, just before the call. */
  killBefore(call: Pick<FaultRule, 'kinds' | 'path'>): Promise<void> {
    return new Promise((resolve) => {
      const run = (): void => {
        this.kill();
        resolve();
      };
      this.#simulated.disk.faults.add({ ...call, fault: { kind: 'crash', when: 'before', run } });
    });
  }

  /** The next write of a log gets a part of its room, and no more. */
  fillUp(): void {
    const { faults } = this.#simulated.disk;
    const writes = { kinds: ['writev'], path: /\.log$/ } as const;
    faults.add({ ...writes, fault: { kind: 'short-write' } });
    faults.add({ ...writes, fault: { kind: 'error', code: 'ENOSPC' } });
  }

  losePower(): void {
    this.#simulated.disk.losePower();
    this.#boot += 1;
  }

  get #clock(): { monotonicMs(): number; wallMs(): number } {
    const { clock } = this.#simulated;
    return { monotonicMs: () => clock.monotonicMs(), wallMs: () => clock.wallMs() };
  }
}

async function append(log: PartitionLog, from: number, to: number, epoch = 1): Promise<void> {
  const list = frames(from, to, { epoch });
  await log.append(bytesOf(list), headersOf(list));
}

describe('A power loss', () => {
  it.each(SEEDS)('takes nothing that a start has shown again, seed %i', async (seed) => {
    const machine = new Machine(seed);
    const first = await machine.start();
    await append(first.log, 0, 6);
    machine.kill();
    const second = await machine.start();
    expect(second.disk.start.restartClass).toBe('warm');
    expect(second.log.recovery.state.endOffset).toBe(6);
    machine.losePower();
    const third = await machine.start();
    expect(third.log.recovery).toMatchObject({ state: { endOffset: 6 }, damage: null });
  });

  it.each(SEEDS)(
    'brings back nothing that was cut away, and misses nothing of it, seed %i',
    async (seed) => {
      const machine = new Machine(seed);
      const first = await machine.start();
      await append(first.log, 0, 6);
      machine.kill();
      // All of it is synced now.
      const second = await machine.start();
      await second.log.truncate(3, false);
      machine.losePower();
      const third = await machine.start();
      expect(third.log.recovery).toMatchObject({ state: { endOffset: 3 }, damage: null });
    },
  );

  it.each([
    { what: 'from a file', options: LOG_OPTIONS },
    { what: 'with files', options: { ...LOG_OPTIONS, segmentBytes: 250 } },
  ])(
    'brings back nothing that a start has shown as cut, though the cut was not synced: $what',
    async ({ options }) => {
      for (const seed of SEEDS) {
        const machine = new Machine(seed);
        const first = await machine.start(options);
        for (let offset = 0; offset < 7; offset += 1) await append(first.log, offset, offset + 1);
        machine.kill();
        let isCutting = false;
        const killed = new Promise<void>((resolve) => {
          const second = machine.start(options, () => {
            if (!isCutting) return;
            machine.kill();
            resolve();
          });
          void second.then(({ log }) => {
            isCutting = true;
            log.truncate(3, false).catch(() => undefined);
          });
        });
        await killed;
        const third = await machine.start(options);
        expect(third.disk.start.restartClass).toBe('warm');
        expect(third.log.recovery).toMatchObject({ state: { endOffset: 3 }, damage: null });
        machine.losePower();
        const fourth = await machine.start(options);
        expect([seed, fourth.log.recovery]).toMatchObject([
          seed,
          { state: { endOffset: 3 }, damage: null },
        ]);
      }
    },
  );

  it.each(SEEDS)('brings back nothing that a start has found reset, seed %i', async (seed) => {
    const options = { ...LOG_OPTIONS, segmentBytes: 250 };
    const machine = new Machine(seed);
    const first = await machine.start(options);
    for (let offset = 0; offset < 6; offset += 1) await append(first.log, offset, offset + 1);
    machine.kill();
    const second = await machine.start(options);
    const killed = machine.killBefore({ kinds: ['syncFolder'], path: /-0$/ });
    void second.log.reset({ offset: 2, epoch: 1, retiredTo: 2 });
    await killed;
    const third = await machine.start(options);
    const state = { startOffset: 2, endOffset: 2 };
    expect(third.log.recovery).toMatchObject({ state, damage: null });
    machine.losePower();
    const fourth = await machine.start(options);
    expect(fourth.log.recovery).toMatchObject({ state, damage: null });
  });

  it.each(SEEDS)('brings back nothing of an append that was refused, seed %i', async (seed) => {
    const machine = new Machine(seed);
    const first = await machine.start();
    await append(first.log, 0, 2);
    machine.kill();
    const second = await machine.start();
    machine.fillUp();
    await expect(append(second.log, 2, 30)).rejects.toMatchObject({ code: 'DISK_FULL' });
    machine.losePower();
    const third = await machine.start();
    expect(third.log.recovery).toMatchObject({ state: { endOffset: 2 }, damage: null });
  });
});
