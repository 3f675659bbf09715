/** What a call holds is counted with its connection until all that it began has ended. */
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import { HELD, holding } from '../../../../broker/messages/held.ts';

function callOf(bytesMax: number) {
  const call = {
    bytes: 0,
    cancelled: false,
    [HELD]: {
      add: (bytes: number) => {
        call.bytes += bytes;
      },
      tryAdd: (bytes: number) => {
        if (call.bytes + bytes > bytesMax) return false;
        call.bytes += bytes;
        return true;
      },
    },
  };
  return call;
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
};

describe('holding()', () => {
  it('counts until what outlives its caller has ended too', async () => {
    const call = callOf(10);
    const work = Promise.withResolvers<never>();
    const failed = holding(call, 7, (also) => {
      also(work.promise);
      return Promise.reject(new BrokerError('OUTCOME_UNKNOWN', 'the deadline passed'));
    });
    await expect(failed).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    await turns();
    expect(call.bytes).toBe(7);
    work.reject(new BrokerError('NOT_LEADER', 'x'));
    await turns();
    expect(call.bytes).toBe(0);
  });

  it('begins nothing where too much is held, or for who is gone', async () => {
    const call = callOf(10);
    let runs = 0;
    const run = (): Promise<number> => Promise.resolve((runs += 1));
    await expect(holding(call, 11, run)).rejects.toMatchObject({ code: 'OVERLOADED' });
    call.cancelled = true;
    await expect(holding(call, 1, run)).rejects.toMatchObject({ code: 'OVERLOADED' });
    call.cancelled = false;
    expect(await holding(call, 1, run)).toBe(1);
    await turns();
    expect([runs, call.bytes]).toEqual([1, 0]);
  });
});
