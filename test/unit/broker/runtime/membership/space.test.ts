import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import { SpaceWatch, writeSession } from '../../../../../broker/runtime/membership/space.ts';
import { FakeClock } from '../fake-clock.ts';

describe('SpaceWatch', () => {
  it('tells once that the volume is full, and once that it is not', () => {
    let reason: string | null = null;
    const facts: string[] = [];
    const disk = { shortage: () => reason, freeBytes: () => 5 };
    const watch = new SpaceWatch(disk, (...[event]) => {
      facts.push(event);
    });
    for (const next of [null, 'full', 'fuller', null, null]) {
      reason = next;
      watch.look();
    }
    expect(facts).toEqual(['disk-full', 'disk-has-room']);
  });
});

describe('writeSession()', () => {
  it('waits for room, and rejects what is wrong with the disk', async () => {
    const clock = new FakeClock();
    const answers = [
      new BrokerError('DISK_FULL', 'no room'),
      new BrokerError('OVERLOADED', 'no descriptor'),
      null,
      new BrokerError('STORAGE_FAILED', 'EIO'),
    ];
    let written = 0;
    const disk = {
      writeSession: async (): Promise<void> => {
        const answer = answers.shift() ?? null;
        if (answer !== null) throw answer;
        written += 1;
      },
    };
    const around = { disk, clock, onFact: () => undefined };
    const first = writeSession(around, 7);
    for (let turn = 0; turn < 3; turn += 1) {
      await setImmediate();
      clock.advance(1_000);
    }
    await first;
    expect(written).toBe(1);
    await expect(writeSession(around, 7)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  });
});
