import { describe, expect, it } from 'vitest';
import { PressureLog } from '../../../../broker/network/pressure-log.ts';
import { systemClock } from '../../../../process/system-clock.ts';

describe('PressureLog', () => {
  it('tells each kind once in ten seconds, with how many there were, and counts all', () => {
    const facts: unknown[] = [];
    let collected = 0;
    const timers: { readonly ms: number; readonly run: () => void }[] = [];
    const after = (ms: number, run: () => void) => {
      timers.push({ ms, run });
      return () => undefined;
    };
    const clock = { ...systemClock, after };
    const log = new PressureLog(
      (event, fields) => facts.push({ event, ...fields }),
      clock,
      () => {
        collected += 1;
      },
    );
    for (let each = 0; each < 5; each += 1) log.refused('call', 'memory', '10.0.0.1');
    log.refused('connection', 'connections', '10.0.0.2');
    log.closed('memory', '10.0.0.3', 77);
    log.idle();
    expect(collected).toBe(1);
    log.tight();
    expect(collected).toBe(2);
    expect(timers.map(({ ms }) => ms)).toEqual([10_000, 10_000, 10_000]);
    timers[0]?.run();
    log.refused('call', 'memory', '10.0.0.4');
    expect(facts).toEqual([
      { event: 'call-refused', reason: 'memory', address: '10.0.0.1', count: 1 },
      { event: 'connection-refused', reason: 'connections', address: '10.0.0.2', count: 1 },
      { event: 'connection-closed', reason: 'memory', address: '10.0.0.3', count: 1, bytes: 77 },
      { event: 'call-refused', reason: 'memory', address: '10.0.0.4', count: 5 },
    ]);
    expect(log.totals()).toEqual([
      { what: 'call-refused', reason: 'memory', count: 6 },
      { what: 'connection-refused', reason: 'connections', count: 1 },
      { what: 'connection-closed', reason: 'memory', count: 1 },
      { what: 'connection-closed', reason: 'idle', count: 1 },
    ]);
  });
});
