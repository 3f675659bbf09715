import { EventEmitter } from 'node:events';
import { Metadata, type StatusObject } from '@grpc/grpc-js';
import { beforeEach, describe, expect, it } from 'vitest';
import type { AccessRule } from '../../../../base/access.ts';
import { AccessRules } from '../../../../broker/access/rules.ts';
import { Audit } from '../../../../broker/doors/audit.ts';
import type { Known } from '../../../../broker/doors/authenticator.ts';
import { Door, type DoorCall } from '../../../../broker/doors/door.ts';
import { emptyImage } from '../../../../broker/metadata/apply.ts';
import type { MetadataImage } from '../../../../broker/metadata/types.ts';
import { LogServiceService } from '../../../../proto/gen/tidemark/v1/log.ts';
import { errorFromStatus } from '../../../../wire/grpc/errors.ts';
import { FakeClock } from '../runtime/fake-clock.ts';

const ALICE = 'token:alice';
const DAY_MS = 24 * 60 * 60_000;
const RULE: AccessRule = {
  principal: ALICE,
  kind: 'topic',
  name: 'orders',
  operations: ['read'],
};

/** A call that goes on, and how it ended. */
class FakeStream extends EventEmitter implements DoorCall {
  readonly metadata = new Metadata();
  readonly request = { topic: 'orders' };
  ended: { readonly code: string; readonly effect: string } | null = null;

  constructor() {
    super();
    this.on('error', (status) => {
      const { code, effect } = errorFromStatus(status as StatusObject);
      this.ended = { code, effect };
    });
  }

  peer = '10.0.0.1:5';

  getPeer(): string {
    return this.peer;
  }

  getAuthContext(): null {
    return null;
  }
}

/** A clock with timers that are few and far between. */
class LongClock extends FakeClock {
  readonly waitsMs: number[] = [];

  override after(delayMs: number, callback: () => void) {
    this.waitsMs.push(delayMs);
    return super.after(delayMs, callback);
  }
}

describe('Door', () => {
  let clock: LongClock;
  let image: MetadataImage;
  let watchers: (() => void)[];
  let known: Known;
  let isInformed: boolean;
  let denials: number;
  let deniedFrom: string;
  let door: Door;
  let handled: number;
  let enter: (call: FakeStream) => unknown;

  beforeEach(() => {
    clock = new LongClock();
    watchers = [];
    handled = 0;
    isInformed = true;
    denials = 0;
    known = { principal: ALICE, untilMs: 1_000, stands: () => true };
    allow([RULE]);
    door = new Door({
      broker: {
        brokerId: 1,
        clock,
        isInformed: () => isInformed,
        image: () => image,
        rightsOf: (principal) => new AccessRules(image.access.values(), []).rightsOf(principal),
        watchImage: (watcher) => {
          watchers.push(watcher);
          return () => (watchers = []);
        },
      },
      authenticate: () => known,
      audit: new Audit((...[event, facts]) => {
        if (event !== 'access-denied') return;
        denials += 1;
        deniedFrom = (facts as { readonly from: string }).from;
      }, clock),
      isOuter: true,
      listener: 'client',
    });
    const handlers: Record<string, (call: FakeStream) => unknown> = {};
    const host = door.hostOf({ add: (_, made) => void Object.assign(handlers, made) });
    const plain = Object.keys(LogServiceService).map((name) => [name, () => (handled += 1)]);
    host.add(LogServiceService as never, Object.fromEntries(plain) as never);
    enter = handlers['read']!;
  });

  function allow(rules: readonly AccessRule[]): void {
    image = { ...emptyImage(), access: new Map(rules.map((rule, at) => [String(at), rule])) };
    for (const watcher of watchers) watcher();
  }

  it.each([
    ['10.0.0.1:5', '10.0.0.1:5'],
    ['::ffff:10.0.0.1:5', '10.0.0.1:5'],
    ['[::ffff:10.0.0.1]:5', '10.0.0.1:5'],
    ['[2001:db8::1]:5', '[2001:db8::1]:5'],
  ])('writes down that a caller is at %s as %s', (peer, written) => {
    allow([]);
    expect(() => enter(Object.assign(new FakeStream(), { peer }))).toThrow();
    expect(deniedFrom).toBe(written);
  });

  it('denies nothing for certain while its rules may be old', () => {
    allow([]);
    isInformed = false;
    expect(() => enter(new FakeStream())).toThrow(
      expect.objectContaining({ code: 'BROKER_NOT_READY', effect: 'none' }),
    );
    expect(denials).toBe(0);
    isInformed = true;
    expect(() => enter(new FakeStream())).toThrow(
      expect.objectContaining({ code: 'PERMISSION_DENIED' }),
    );
    expect(denials).toBe(1);
  });

  it('ends a stream at the moment at which what was shown is over', () => {
    const call = new FakeStream();
    enter(call);
    clock.advance(999);
    expect([handled, call.ended]).toEqual([1, null]);
    clock.advance(1);
    expect(call.ended).toEqual({ code: 'UNAUTHENTICATED', effect: 'unknown' });
  });

  it('lets in nobody whose proof is over already', () => {
    known = { ...known, untilMs: 0 };
    const call = new FakeStream();
    enter(call);
    expect([handled, call.ended?.code]).toEqual([0, 'UNAUTHENTICATED']);
  });

  it('goes by the wall clock, in waits that a timer can take', () => {
    known = { ...known, untilMs: 400 * DAY_MS };
    const call = new FakeStream();
    enter(call);
    expect(clock.waitsMs).toEqual([DAY_MS]);
    // The clock was set while it waited.
    clock.nowMs = 400 * DAY_MS - 1;
    clock.advance(1);
    expect(call.ended?.code).toBe('UNAUTHENTICATED');
  });

  it('has no end for what has none, and forgets calls that are over', () => {
    known = { ...known, untilMs: null };
    enter(new FakeStream());
    expect(clock.waitsMs).toEqual([]);
    known = { ...known, untilMs: 1_000 };
    const call = new FakeStream();
    enter(call);
    call.emit('close');
    clock.advance(2_000);
    allow([]);
    expect(call.ended).toBeNull();
  });

  it('judges a stream again when rules change, and tells a refusal from an end', () => {
    const call = new FakeStream();
    enter(call);
    allow([RULE, { ...RULE, principal: 'token:bob' }]);
    expect(call.ended).toBeNull();
    allow([{ ...RULE, operations: ['append'] }]);
    expect(call.ended).toEqual({ code: 'PERMISSION_DENIED', effect: 'none' });
  });

  it('ends a stream when its token is taken back', () => {
    let isThere = true;
    known = { principal: ALICE, untilMs: null, stands: () => isThere };
    const call = new FakeStream();
    enter(call);
    door.lookAgain();
    expect(call.ended).toBeNull();
    isThere = false;
    door.lookAgain();
    expect(call.ended).toEqual({ code: 'UNAUTHENTICATED', effect: 'unknown' });
  });
});
