import { Metadata, type StatusObject } from '@grpc/grpc-js';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Quota } from '../../../../base/quotas.ts';
import { Throttle } from '../../../../broker/doors/throttle.ts';
import { setPrincipal } from '../../../../broker/messages/principal.ts';
import { emptyImage } from '../../../../broker/metadata/apply.ts';
import type { MetadataImage } from '../../../../broker/metadata/types.ts';
import { AdminServiceService } from '../../../../proto/gen/tidemark/v1/admin.ts';
import { ConsumeServiceService } from '../../../../proto/gen/tidemark/v1/consume.ts';
import { LogServiceService } from '../../../../proto/gen/tidemark/v1/log.ts';
import { errorFromStatus } from '../../../../wire/grpc/errors.ts';
import { FakeClock } from '../runtime/fake-clock.ts';
import { FakeStream } from './fake-stream.ts';

type Handler = (call: FakeCall, answer: (failure: unknown, response?: unknown) => void) => unknown;

class FakeCall extends FakeStream {
  readonly request: unknown;

  constructor(principal: string, request: unknown = {}) {
    super(setPrincipal(new Metadata(), principal));
    this.request = request;
  }
}

const batch = (bytes: number) => ({ batches: [{ frame: new Uint8Array(bytes) }] });
const fetched = (bytes: number) => ({ partitions: [{ frames: [new Uint8Array(bytes)] }] });
const records = (bytes: number) => ({
  records: [{ key: new Uint8Array(2), value: new Uint8Array(bytes), headers: [{ key: 'abc' }] }],
});
/** What a record of {@link records} counts beside its value. */
const AROUND = 16 + 2 + 3;

describe('Throttle', () => {
  let clock: FakeClock;
  let image: MetadataImage;
  let told: { readonly event: string; readonly fields: object }[];
  let handlers: Record<string, Handler>;
  let throttle: Throttle;
  /** Of calls that reached their handler. */
  let done: string[];

  function open(isAsking: boolean): void {
    throttle = new Throttle({
      broker: { clock, image: () => image },
      onFact: (event, fields) => void told.push({ event, fields }),
    });
    handlers = {};
    const host = throttle.hostOf(
      {
        add: (_, implementation) => void Object.assign(handlers, implementation),
      },
      isAsking,
    );
    for (const definition of [LogServiceService, AdminServiceService, ConsumeServiceService]) {
      const plain = Object.keys(definition).map((name) => {
        const handler: Handler = (call, answer) => {
          done.push(name);
          if (name === 'produce')
            call.write({ results: [], windowBytes: 1_000_000, batchBytes: 0 });
          if (['produce', 'fetch', 'consume'].includes(name)) call.on('data', () => {});
          else answer(null, {});
        };
        return [name, handler] as const;
      });
      host.add(definition as never, Object.fromEntries(plain) as never);
    }
  }

  beforeEach(() => {
    clock = new FakeClock();
    image = emptyImage();
    told = [];
    done = [];
    open(true);
  });

  function limit(...quotas: Quota[]): void {
    image = { ...image, quotas: new Map(quotas.map((quota) => [quota.principal, quota])) };
  }

  /** Makes a call; the code of its refusal, 'ok', or null while it waits. */
  function ask(method: string, call: FakeCall): { code: string | null } {
    const state: { code: string | null } = { code: null };
    void handlers[method]?.(call, (failure) => {
      state.code = failure === null ? 'ok' : errorFromStatus(failure as StatusObject).code;
    });
    return state;
  }

  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const totalsOf = (quota: string) => throttle.totals().find((one) => one.quota === quota);

  it('lets a plain call wait for its turn, and refuses it where that is far off', async () => {
    limit({ principal: 'token:a', adminCallsPerSecond: 2 });
    const asked = Array.from({ length: 5 }, () => ask('createTopic', new FakeCall('token:a')));
    expect(asked.map(({ code }) => code)).toEqual(['ok', 'ok', null, null, 'OVERLOADED']);
    clock.advance(500);
    await settled();
    expect(asked.map(({ code }) => code)).toEqual(['ok', 'ok', 'ok', null, 'OVERLOADED']);
    clock.advance(500);
    await settled();
    expect(asked[3]?.code).toBe('ok');
    expect(totalsOf('admin-calls')).toEqual({
      quota: 'admin-calls',
      delays: 2,
      delayedMs: 1_500,
      refusals: 1,
    });
  });

  it('says when there is room, and that nothing was done', () => {
    limit({ principal: 'token:a', producerIdsPerSecond: 1 });
    let failure: unknown = null;
    for (let time = 0; time < 3; time += 1)
      void handlers['initProducer']?.(new FakeCall('token:a'), (given) => (failure = given));
    const error = errorFromStatus(failure as StatusObject);
    expect(error).toMatchObject({ code: 'OVERLOADED', effect: 'none', retry: 'same' });
    expect(error.details.retryAfterMs).toBe(2_000);
    expect(error.message).toContain('token:a is over its quota of 1 producer-ids a second');
    expect(done).toEqual(['initProducer']);
  });

  it('refuses whoever owes for months, and advises to look again within a minute', () => {
    limit({ principal: 'token:a', appendBytesPerSecond: 1 });
    const call = new FakeCall('token:a');
    ask('produce', call);
    call.emit('data', batch(16_000_000));
    let failure: unknown = null;
    void handlers['append']?.(new FakeCall('token:a', records(1)), (given) => (failure = given));
    const error = errorFromStatus(failure as StatusObject);
    expect(error).toMatchObject({ code: 'OVERLOADED', effect: 'none', retry: 'same' });
    expect(error.details.retryAfterMs).toBe(60_000);
    expect(error.message).toContain('room in 16000000000 ms');
  });

  it('makes nobody wait beyond the deadline', () => {
    limit({ principal: 'token:a', adminCallsPerSecond: 2 });
    const calls = Array.from({ length: 3 }, () => new FakeCall('token:a'));
    calls[2]!.deadline = clock.wallMs() + 300;
    expect(calls.map((call) => ask('alterTopic', call).code)).toEqual(['ok', 'ok', 'OVERLOADED']);
  });

  it('does nothing for whoever left, or was sent away, while it waited', async () => {
    limit({ principal: 'token:a', adminCallsPerSecond: 1 });
    ask('createTopic', new FakeCall('token:a'));
    const call = new FakeCall('token:a');
    const gone = ask('createTopic', call);
    call.emit('cancelled');
    clock.advance(1_000);
    await settled();
    expect(gone.code).toBeNull();
    expect(done).toEqual(['createTopic']);
  });

  it('does not count what every client begins with, and has defaults for the rest', () => {
    for (let time = 0; time < 1_000; time += 1) {
      expect(ask('describeCluster', new FakeCall('token:a')).code).toBe('ok');
      expect(ask('listTopics', new FakeCall('token:a')).code).toBe('ok');
      expect(ask('listOffsets', new FakeCall('token:a')).code).toBe('ok');
    }
    const codes = (method: string) =>
      Array.from({ length: 201 }, () => ask(method, new FakeCall('token:a')).code);
    for (const method of ['initProducer', 'checkAccess', 'listAccess']) {
      const others = codes(method).filter((code) => code !== 'ok');
      expect(others).toContain('OVERLOADED');
    }
    expect(ask('initProducer', new FakeCall('token:b')).code).toBe('ok');
  });

  it('takes all for one where nobody is asked, whatever they say to be', () => {
    open(false);
    for (let time = 0; time < 1_000; time += 1)
      expect(ask('initProducer', new FakeCall('')).code).toBe('ok');
    limit({ principal: 'anonymous', adminCallsPerSecond: 1 });
    expect(ask('listAccess', new FakeCall('token:a')).code).toBe('ok');
    expect(ask('listAccess', new FakeCall('token:b')).code).toBeNull();
    expect(ask('listAccess', new FakeCall('')).code).toBe('OVERLOADED');
  });

  it('counts the records of a plain append, and refuses before it is done', async () => {
    limit({ principal: 'token:a', appendBytesPerSecond: 1_000 });
    const append = (bytes: number) => ask('append', new FakeCall('token:a', records(bytes))).code;
    expect(append(1_000 - AROUND)).toBe('ok');
    expect(append(500 - AROUND)).toBeNull();
    expect(append(600 - AROUND)).toBe('OVERLOADED');
    clock.advance(500);
    await settled();
    expect(done).toEqual(['append', 'append']);
    // One that is larger than a second's worth is done where nothing is owed, and then owed.
    clock.advance(10_000);
    expect(append(5_000)).toBe('ok');
    clock.advance(3_000);
    expect(append(1)).toBe('OVERLOADED');
  });

  it('reads no more from a producer that has sent too much, and goes on once it is paid', () => {
    limit({ principal: 'token:a', appendBytesPerSecond: 100_000 });
    const [call, other] = [new FakeCall('token:a'), new FakeCall('token:b')];
    ask('produce', call);
    ask('produce', other);
    call.emit('data', batch(100_000));
    other.emit('data', batch(10_000_000));
    expect([call.isPaused, other.isPaused]).toEqual([false, false]);
    call.emit('data', batch(50_000));
    expect([call.isPaused, other.isPaused]).toEqual([true, false]);
    clock.advance(499);
    expect(call.isPaused).toBe(true);
    clock.advance(1);
    expect(call.isPaused).toBe(false);
    expect(totalsOf('append-bytes')).toMatchObject({ delays: 1, delayedMs: 500, refusals: 0 });
  });

  it('counts all streams and calls of one principal together', () => {
    limit({ principal: '*', appendBytesPerSecond: 100_000 });
    const calls = [new FakeCall('token:a'), new FakeCall('token:a'), new FakeCall('token:b')];
    for (const call of calls) ask('produce', call);
    calls[0]!.emit('data', batch(200_000));
    calls[1]!.emit('data', batch(1));
    calls[2]!.emit('data', batch(1));
    expect(calls.map(({ isPaused }) => isPaused)).toEqual([true, true, false]);
    // Another stream does not begin anew.
    const later = new FakeCall('token:a');
    ask('produce', later);
    expect(later.isPaused).toBe(true);
    expect(ask('append', new FakeCall('token:a', records(1))).code).toBe('OVERLOADED');
  });

  it('tells a producer of a window that its quota takes in, and when that changes', () => {
    limit({ principal: 'token:a', appendBytesPerSecond: 100_000 });
    const call = new FakeCall('token:a');
    ask('produce', call);
    limit({ principal: 'token:a', appendBytesPerSecond: 1 });
    call.emit('data', batch(0));
    limit();
    call.emit('data', batch(0));
    call.emit('data', batch(0));
    expect(call.written).toEqual(
      [100_000, 65_536, 1_000_000].map((windowBytes) => ({
        results: [],
        windowBytes,
        batchBytes: 0,
      })),
    );
  });

  it('lets a producer that waits long hear that it is there', () => {
    limit({ principal: 'token:a', appendBytesPerSecond: 1_000 });
    const call = new FakeCall('token:a');
    ask('produce', call);
    call.emit('data', batch(5_000));
    clock.advance(3_999);
    expect(call.written).toHaveLength(4);
    expect(call.written.slice(1)).toEqual(
      [1, 2, 3].map(() => ({ results: [], windowBytes: 0, batchBytes: 0 })),
    );
    // A quota that is raised holds within a second.
    limit({ principal: 'token:a', appendBytesPerSecond: 1_000_000 });
    call.emit('data', batch(400_000));
    clock.advance(1_000);
    expect(call.isPaused).toBe(false);
  });

  it('gathers nothing for a producer that waits and does not listen', () => {
    limit({ principal: 'token:a', appendBytesPerSecond: 1 });
    const call = new FakeCall('token:a');
    ask('produce', call);
    call.emit('data', batch(16_000_000));
    clock.advance(1_000);
    expect(call.written).toHaveLength(2);
    call.writableNeedDrain = true;
    clock.advance(100_000);
    expect(call.written).toHaveLength(2);
    call.writableNeedDrain = false;
    clock.advance(1_000);
    expect(call.written).toHaveLength(3);
  });

  it('gives a reader nothing more once it has had too much', () => {
    limit({ principal: 'token:a', readBytesPerSecond: 1_000 });
    const call = new FakeCall('token:a');
    let drained = 0;
    ask('fetch', call);
    call.on('drain', () => {
      drained += 1;
    });
    expect(call.write(fetched(1_000))).toBe(true);
    expect(call.write(fetched(2_000))).toBe(false);
    clock.advance(1_999);
    expect(drained).toBe(0);
    clock.advance(1);
    expect(drained).toBe(1);
    expect(call.write(fetched(0))).toBe(true);
    expect(totalsOf('read-bytes')).toMatchObject({ delays: 1, delayedMs: 2_000 });
  });

  it('counts what a member is given as read, and what it acknowledges as written', () => {
    limit({ principal: 'token:a', readBytesPerSecond: 10_000, appendBytesPerSecond: 1_000 });
    const call = new FakeCall('token:a');
    ask('consume', call);
    const given = { message: { $case: 'records', value: records(1_000) } };
    const settled = (cursors: number, ofQueue: number) => ({
      message: {
        $case: 'acknowledge',
        value: { cursors: Array(cursors).fill({}), records: Array(ofQueue).fill({}) },
      },
    });
    call.emit('data', settled(2, 4));
    expect([call.write(given), call.isPaused]).toEqual([true, false]);
    // A second may be taken at once: 500 bytes of the first are left.
    call.emit('data', settled(10, 0));
    expect(call.isPaused).toBe(true);
    expect(call.write(given)).toBe(false);
    clock.advance(1_000);
    expect(call.isPaused).toBe(false);
    expect(call.write(given)).toBe(true);
    expect(totalsOf('append-bytes')).toMatchObject({ delays: 1, delayedMs: 1_000 });
    expect(totalsOf('read-bytes')).toMatchObject({ delays: 0 });
    for (let each = 0; each < 20; each += 1) call.write(given);
    expect([call.write(given), call.isPaused]).toEqual([false, true]);
    expect(totalsOf('read-bytes')).toMatchObject({ delays: 1 });
  });

  it('lets a plain read begin where what was read before is paid, or refuses it', async () => {
    limit({ principal: 'token:a', readBytesPerSecond: 1_000 });
    const first = new FakeCall('token:a');
    expect(ask('read', first).code).toBe('ok');
    expect(first.write(records(1_500 - AROUND))).toBe(false);
    const second = ask('read', new FakeCall('token:a'));
    expect(second.code).toBeNull();
    first.write(records(1_000));
    expect(() => handlers['read']?.(new FakeCall('token:a'), () => {})).toThrow(/over its quota/);
    clock.advance(500);
    await settled();
    expect(second.code).toBe('ok');
  });

  it('tells who is over a quota at once, then counts', () => {
    limit({ principal: '*', adminCallsPerSecond: 1 });
    for (let time = 0; time < 50; time += 1) ask('listAccess', new FakeCall('token:a'));
    clock.advance(10_000);
    for (let time = 0; time < 2; time += 1) ask('listAccess', new FakeCall('token:b'));
    const fields = { quota: 'admin-calls', delayMs: 1_000 };
    expect(told).toEqual([
      { event: 'over-quota', fields: { ...fields, principal: 'token:a', count: 1 } },
      { event: 'over-quota', fields: { ...fields, principal: 'token:b', count: 49 } },
    ]);
  });
});
