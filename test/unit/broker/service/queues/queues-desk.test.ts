/** Whom an owner takes for a member: its latest stream, by whichever link that comes. */
import { expect, it } from 'vitest';
import type { BrokerError } from '../../../../../base/errors.ts';
import type { MemberLink } from '../../../../../broker/service/queues/member-link.ts';
import { QueuesDesk } from '../../../../../broker/service/queues/queues-desk.ts';
import { topicIdToBytes } from '../../../../../wire/batch/frame.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';
import { MEMBER } from './session-scene.ts';

const QUEUE = '44444444-4444-4444-8444-444444444444';

class Scene {
  readonly gone: string[] = [];
  readonly #desk: QueuesDesk;

  constructor() {
    const owned = {
      place: { queue: QUEUE, topicId: '', partition: 0 },
      memberGone: (memberId: string) => this.gone.push(memberId),
    };
    const broker = { queues: () => ({ all: () => [owned] }) };
    const parts = { cluster: { clock: new FakeClock(), broker }, report: () => {} };
    this.#desk = new QueuesDesk(parts as never, {} as never);
  }

  /** A link of the member, opened; and how it ended, undefined: it did not. */
  open(attempt: number, proxy: number): { link: MemberLink; end: () => string | undefined } {
    let ended: BrokerError | null | undefined;
    const link = this.#desk.link({
      send: () => true,
      finish: (error) => {
        ended = error;
      },
    });
    const value = {
      ...{ queueId: topicIdToBytes(QUEUE), memberId: MEMBER, attempt, client: '', proxy },
    };
    link.take({ message: { $case: 'open', value } });
    return { link, end: () => (ended === null ? 'in order' : ended?.code) };
  }
}

it('takes the later stream for the member, and hears nothing more by the other', () => {
  const scene = new Scene();
  const first = scene.open(1, 1);
  const second = scene.open(2, 2);
  expect([first.end(), second.end()]).toEqual(['FENCED', undefined]);
  first.link.take({ message: { $case: 'gone', value: {} } });
  expect(scene.gone).toEqual([]);
  expect(() => scene.open(1, 1)).toThrow('at attempt 2');
  second.link.take({ message: { $case: 'gone', value: {} } });
  expect([scene.gone, second.end()]).toEqual([[MEMBER], 'in order']);
});

it('takes a proxy back whose link broke, though it does not know of that yet', () => {
  const scene = new Scene();
  const broken = scene.open(1, 1);
  const again = scene.open(1, 1);
  expect([broken.end(), again.end()]).toEqual(['FENCED', undefined]);
  // That it ends at last is not the end of the other.
  broken.link.close();
  expect(() => scene.open(1, 2)).toThrow('at attempt 1');
});

it('tells how a partition stands though the record that blocks it cannot be read', async () => {
  const clock = new FakeClock();
  const blocked = { offset: 7, epoch: 1, keyHash: 5, kind: 'leased', holder: MEMBER };
  const stands = { next: 9, floor: 7, leased: 2, waiting: 0, delayed: 0, dying: 0, dyingMs: 0 };
  const report = { ...stands, parked: 0, parkedOffsets: [], hasBegun: true, blocked };
  const owned = {
    ...{ definition: { name: 'jobs' }, place: { queue: QUEUE, topicId: '', partition: 0 } },
    report: () => ({ ...report, leasedBy: new Map([[MEMBER, 2]]) }),
  };
  const broker = { brokerId: 1, queues: () => ({ owned: () => owned }) };
  const queues = new Map([[QUEUE, { topicId: '' }]]);
  const image = (): unknown => ({ queues, topics: new Map() });
  const world = { recordsAt: () => new Promise(() => {}) };
  const parts = { cluster: { clock, broker, image }, report: () => {} };
  const describing = new QueuesDesk(parts as never, world as never).describe(QUEUE, [0]);
  clock.advance(2_000);
  const { partitions } = await describing;
  expect(partitions).toMatchObject([{ leased: 2, blocked: { offset: 7, memberId: MEMBER } }]);
  expect(partitions[0]?.blocked?.key).toBeUndefined();
});
