import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EVENT, EventRecorder, type EventReport } from '../../../../operator/kube/events.ts';
import type { KubeObject } from '../../../../operator/kube/kube-object.ts';
import { ApiServer } from '../../../fixtures/kube/api-server.ts';
import { ManualClock } from '../../../fixtures/kube/manual-clock.ts';
import { builtIn, clientOf, object, POD, WIDGET } from '../../../fixtures/kube/objects.ts';
import { until } from '../../../fixtures/kube/until.ts';

let api: ApiServer;
let clock: ManualClock;
let recorder: EventRecorder;
let errors: unknown[];
let dropped: string[];
beforeEach(async () => {
  api = await ApiServer.start();
  clock = new ManualClock();
  errors = [];
  dropped = [];
  let ids = 0;
  recorder = new EventRecorder({
    client: clientOf(api),
    controller: 'example.org/operator',
    instance: 'operator-0',
    clock,
    random: () => 0.5,
    onError: (error) => errors.push(error),
    observer: { eventDropped: (why) => dropped.push(why) },
    newId: () => String((ids += 1)),
  });
});
afterEach(() => api.close());

const WIDGET_A = object(WIDGET, 'a', { metadata: { uid: 'uid-a', resourceVersion: '7' } });
const POD_A = object(POD, 'a-0', { metadata: { uid: 'uid-pod' } });

function report(fields: Partial<EventReport> = {}): EventReport {
  return {
    regarding: WIDGET_A,
    type: 'Normal',
    reason: 'Stopping',
    action: 'StopPod',
    note: 'stops a-0',
    ...fields,
  };
}

function events(): KubeObject[] {
  return api.list(EVENT);
}

function flushed(): Promise<void> {
  return recorder.flush(new AbortController().signal);
}

describe('EventRecorder', () => {
  it('sends what the API server takes: MicroTime, regarding, related', async () => {
    recorder.record(report({ related: POD_A }));
    await flushed();
    expect(errors).toEqual([]);
    expect(events()).toMatchObject([
      {
        metadata: { name: 'a.1', namespace: 'default' },
        eventTime: '2026-01-01T00:00:00.000000Z',
        reportingController: 'example.org/operator',
        reportingInstance: 'operator-0',
        type: 'Normal',
        reason: 'Stopping',
        action: 'StopPod',
        note: 'stops a-0',
        regarding: {
          apiVersion: 'example.org/v1',
          kind: 'Widget',
          namespace: 'default',
          name: 'a',
          uid: 'uid-a',
          resourceVersion: '7',
        },
        related: { kind: 'Pod', name: 'a-0', uid: 'uid-pod' },
      },
    ]);
  });

  it('turns repetitions into a series, whose count it sends now and then', async () => {
    recorder.record(report());
    clock.advance(1_000);
    recorder.record(report());
    await flushed();
    expect(events()).toMatchObject([
      { series: { count: 2, lastObservedTime: '2026-01-01T00:00:01.000000Z' } },
    ]);
    for (let index = 0; index < 50; index += 1) {
      clock.advance(1_000);
      recorder.record(report());
    }
    await until(() => api.requests.length === 2);
    clock.advance(10_000);
    recorder.record(report());
    await flushed();
    expect(events()).toMatchObject([
      { series: { count: 53, lastObservedTime: '2026-01-01T00:01:01.000000Z' } },
    ]);
    expect(api.requests).toHaveLength(3);
  });

  it('sends the last count at the end', async () => {
    for (let index = 0; index < 5; index += 1) recorder.record(report());
    await flushed();
    expect(events()).toMatchObject([{ series: { count: 5 } }]);
  });

  it('begins anew after six quiet minutes', async () => {
    recorder.record(report());
    clock.advance(360_000);
    recorder.record(report());
    await flushed();
    expect(events()).toHaveLength(2);
  });

  it.each([
    ['note', { note: 'stops a-1' }],
    ['reason', { reason: 'Stopped' }],
    ['related object', { related: POD_A }],
    ['type', { type: 'Warning' as const }],
  ])('holds a different %s for a different event', async (_, difference) => {
    recorder.record(report());
    recorder.record(report(difference));
    await flushed();
    expect(events()).toHaveLength(2);
  });

  it('begins the series anew when its first event has expired', async () => {
    recorder.record(report());
    await flushed();
    api.delete(EVENT, events()[0]!.metadata);
    recorder.record(report());
    await flushed();
    expect(events()).toMatchObject([{ metadata: { name: 'a.1' }, series: { count: 2 } }]);
  });

  it('puts events about objects of the whole cluster into the default namespace', async () => {
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1', uid: 'uid-n' } };
    recorder.record(report({ regarding: node }));
    await flushed();
    expect(events()).toMatchObject([
      { metadata: { namespace: 'default' }, regarding: { kind: builtIn('Node').kind } },
    ]);
  });

  it('cuts a note that is too long', async () => {
    recorder.record(report({ note: 'x'.repeat(2_000) }));
    await flushed();
    expect(errors).toEqual([]);
    expect(events()[0]?.['note']).toBe(`${'x'.repeat(1_023)}…`);
  });

  it('mutes an object that causes too many, and only that one, for a while', async () => {
    for (let index = 0; index < 30; index += 1) recorder.record(report({ note: `note ${index}` }));
    recorder.record(report({ regarding: POD_A }));
    expect(dropped).toEqual(Array.from({ length: 5 }, () => 'muted'));
    clock.advance(30_000);
    recorder.record(report({ note: 'later' }));
    await flushed();
    expect(events()).toHaveLength(27);
  });

  it('tries again where that may help, and takes "already exists" for its own', async () => {
    api.inject({ effect: { kind: 'lose-answer' } });
    recorder.record(report());
    await until(() => clock.timers.length === 1);
    clock.advance(clock.timers[0]!);
    await flushed();
    expect(events()).toHaveLength(1);
    expect(dropped).toEqual([]);
  });

  it('drops what is refused, and goes on with the next', async () => {
    api.inject({ effect: { kind: 'fail', status: 403, reason: 'Forbidden' } });
    recorder.record(report());
    recorder.record(report({ reason: 'Stopped' }));
    await flushed();
    expect(dropped).toEqual(['refused']);
    expect(errors).toMatchObject([{ reason: 'Forbidden' }]);
    expect(events()).toHaveLength(1);
  });

  it('holds a bounded number while the API server is away, the newest', async () => {
    const gate = Promise.withResolvers<undefined>();
    api.inject({ effect: { kind: 'hold', until: gate.promise } });
    for (let index = 0; index < 300; index += 1) {
      recorder.record(
        report({ regarding: object(WIDGET, `w${index}`, { metadata: { uid: `uid-${index}` } }) }),
      );
    }
    expect(dropped).toEqual(Array.from({ length: 43 }, () => 'queue-full'));
    gate.resolve(undefined);
    await flushed();
    expect(events()).toHaveLength(257);
  });

  it('stops trying when told so', async () => {
    api.inject({ times: Infinity, effect: { kind: 'cut' } });
    recorder.record(report());
    await until(() => clock.timers.length === 1);
    await recorder.flush(AbortSignal.abort());
    expect(clock.timers).toEqual([]);
    expect(dropped).toEqual(['refused']);
  });
});
