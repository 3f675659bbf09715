import { beforeEach, describe, expect, it } from 'vitest';
import { KubeError } from '../../../../operator/kube/kube-error.ts';
import {
  type PassResult,
  Reconciler,
  type ReconcilerOptions,
  TerminalError,
} from '../../../../operator/runtime/reconciler.ts';
import { ManualClock } from '../../../fixtures/kube/manual-clock.ts';
import { until } from '../../../fixtures/kube/until.ts';

/** A pass that the test ends. */
interface OpenPass {
  readonly key: string;
  readonly signal: AbortSignal;
  readonly end: (result?: PassResult) => void;
  readonly fail: (error: unknown) => void;
}

let clock: ManualClock;
let passes: OpenPass[];
let outcomes: string[];
let errors: string[];
let allKeys: string[];
beforeEach(() => {
  clock = new ManualClock();
  passes = [];
  outcomes = [];
  errors = [];
  allKeys = [];
});

function running(options: Partial<ReconcilerOptions> = {}): Reconciler {
  const reconciler = new Reconciler({
    reconcile: (key, signal) =>
      new Promise((resolve, reject) => {
        passes.push({ key, signal, end: (result = {}) => resolve(result), fail: reject });
      }),
    allKeys: () => allKeys,
    ready: () => Promise.resolve(),
    clock,
    random: () => 0.5,
    onError: (key, error) => errors.push(`${key}: ${String(error)}`),
    observer: {
      passStarted: () => undefined,
      passEnded: (key, outcome) => outcomes.push(`${key} ${outcome}`),
      taken: () => undefined,
      retried: () => undefined,
    },
    ...options,
    limits: { workers: 2, passMsMax: 1_000, ...options.limits },
  });
  reconciler.start();
  return reconciler;
}

async function begun(count: number): Promise<OpenPass> {
  await until(() => passes.length === count);
  return passes[count - 1]!;
}

async function ended(count: number): Promise<void> {
  await until(() => outcomes.length === count);
}

/** The microtasks that follow have run: what should have begun by now has. */
async function quiet(): Promise<void> {
  let turns = 0;
  await until(() => (turns += 1) > 5);
}

const RESYNC_MS = 600_000;

describe('Reconciler', () => {
  it('works on several keys at once, on each once at a time', async () => {
    const reconciler = running();
    for (const key of ['a', 'a', 'b', 'c']) reconciler.enqueue(key);
    await begun(2);
    reconciler.enqueue('a');
    await quiet();
    expect(passes.map(({ key }) => key)).toEqual(['a', 'b']);
    passes[1]!.end();
    expect((await begun(3)).key).toBe('c');
    passes[0]!.end();
    expect((await begun(4)).key).toBe('a');
    expect(outcomes).toEqual(['b success', 'a success']);
  });

  it('begins no pass before the caches are filled', async () => {
    const ready = Promise.withResolvers<undefined>();
    const reconciler = running({ ready: () => ready.promise });
    reconciler.enqueue('a');
    await quiet();
    expect(passes).toEqual([]);
    ready.resolve(undefined);
    await begun(1);
  });

  it('comes back when asked to', async () => {
    const reconciler = running();
    reconciler.enqueue('a');
    (await begun(1)).end({ requeueAfterMs: 5_000 });
    await ended(1);
    clock.advance(4_999);
    await quiet();
    expect(passes).toHaveLength(1);
    clock.advance(1);
    await begun(2);
    expect(outcomes).toEqual(['a requeue']);
  });

  it('comes back after a failure, later each time, and forgets failures after a success', async () => {
    const reconciler = running();
    reconciler.enqueue('a');
    for (const [index, pause] of [150, 300, 600].entries()) {
      (await begun(index + 1)).fail(new Error('not now'));
      await ended(index + 1);
      expect(clock.timers[0]).toBe(pause);
      expect(reconciler.depth).toEqual({ queued: 0, retrying: 1 });
      clock.advance(pause);
    }
    (await begun(4)).end();
    await ended(4);
    expect(reconciler.depth.retrying).toBe(0);
    expect(errors).toEqual(Array.from({ length: 3 }, () => 'a: Error: not now'));
    expect(outcomes.at(-1)).toBe('a success');
  });

  it('waits as long as the API server asked', async () => {
    const reconciler = running();
    reconciler.enqueue('a');
    (await begun(1)).fail(
      new KubeError('busy', { status: 429, reason: 'TooManyRequests', retryAfterMs: 30_000 }),
    );
    await ended(1);
    expect(clock.timers[0]).toBe(30_000);
  });

  it('does not retry what cannot help, until something changes', async () => {
    const reconciler = running();
    reconciler.enqueue('a');
    (await begun(1)).fail(new TerminalError('no such class'));
    await ended(1);
    expect(outcomes).toEqual(['a terminal-error']);
    expect(clock.timers).toEqual([RESYNC_MS]);
    reconciler.enqueue('a');
    await begun(2);
  });

  it('treats a reconcile that throws like one that rejects', async () => {
    const reconciler = running({
      reconcile: () => {
        throw new Error('at once');
      },
    });
    reconciler.enqueue('a');
    await ended(1);
    expect(errors).toEqual(['a: Error: at once']);
  });

  it('tells a pass at its deadline to end, and retries', async () => {
    const reconciler = running();
    reconciler.enqueue('a');
    const pass = await begun(1);
    clock.advance(1_000);
    expect(pass.signal.aborted).toBe(true);
    pass.fail(new Error('aborted'));
    await ended(1);
    expect(outcomes).toEqual(['a deadline']);
    expect(errors).toEqual(['a: Error: pass of a took longer than 1000 ms']);
  });

  it('says that it is stuck when a pass ignores its deadline', async () => {
    const reconciler = running();
    reconciler.enqueue('a');
    const pass = await begun(1);
    clock.advance(3_000);
    expect(reconciler.isStuck()).toBe(false);
    clock.advance(1);
    expect(reconciler.isStuck()).toBe(true);
    pass.end();
    await ended(1);
    expect(reconciler.isStuck()).toBe(false);
  });

  it('looks at everything again on a schedule', async () => {
    running();
    await until(() => clock.timers.includes(RESYNC_MS));
    allKeys = ['a', 'b'];
    clock.advance(RESYNC_MS);
    await begun(2);
    expect(clock.timers).toContain(RESYNC_MS);
  });

  it('comes back for what a full queue refused', async () => {
    const reconciler = running({ limits: { workers: 1, keysMax: 4 } });
    allKeys = ['a', 'b', 'c', 'd', 'e', 'f'];
    await until(() => clock.timers.includes(RESYNC_MS));
    for (const key of allKeys) reconciler.enqueue(key);
    const seen = new Set<string>();
    for (let count = 1; seen.size < allKeys.length; count += 1) {
      const pass = await begun(count);
      seen.add(pass.key);
      pass.end();
    }
    expect([...seen].sort()).toEqual(allKeys);
  });

  it('drops what it kept for a key that is gone', async () => {
    const reconciler = running();
    reconciler.enqueue('a');
    (await begun(1)).end({ isGone: true, requeueAfterMs: 5 });
    await ended(1);
    expect(outcomes).toEqual(['a gone']);
    expect(clock.timers).toEqual([RESYNC_MS]);
  });

  it('lets passes under way end when stopped, and begins no other', async () => {
    const reconciler = running({ limits: { workers: 1 } });
    reconciler.enqueue('a');
    reconciler.enqueue('b');
    const pass = await begun(1);
    let isStopped = false;
    const stopped = reconciler.stop().then(() => {
      isStopped = true;
    });
    await quiet();
    expect([isStopped, pass.signal.aborted]).toEqual([false, false]);
    pass.end({ requeueAfterMs: 10 });
    await stopped;
    expect(passes).toHaveLength(1);
    expect(clock.timers).toEqual([]);
  });

  it('stops also before the caches are filled', async () => {
    const reconciler = running({ ready: () => new Promise(() => undefined) });
    await reconciler.stop();
    expect(clock.timers).toEqual([]);
  });

  it('tells all passes to end at once when leadership is lost', async () => {
    const reconciler = running();
    reconciler.enqueue('a');
    reconciler.enqueue('b');
    await begun(2);
    reconciler.abort('the lease is lost');
    expect(passes.map(({ signal }) => String(signal.reason))).toEqual([
      'Error: the lease is lost',
      'Error: the lease is lost',
    ]);
    for (const { fail, signal } of passes) fail(signal.reason);
    await reconciler.stop();
    expect(clock.timers).toEqual([]);
  });
});
