import { beforeEach, describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import { CREDIT_BYTES_MAX } from '../../../../../base/limits.ts';
import {
  ConsumeFence,
  type ConsumeRequest,
  Delivery,
} from '../../../../../proto/gen/tidemark/v1/consume.ts';
import { GROUP, Harness, openOf, SESSION_MS, type Stream, TOPIC_ID_BYTES } from './harness.ts';

const ASSIGNMENTS = { delivery: Delivery.DELIVERY_ASSIGNMENTS, creditBytes: 0, creditRecords: 0 };

let harness: Harness;

beforeEach(() => {
  harness = new Harness();
});

/** Acknowledges all that was delivered of a partition. */
async function acknowledge(stream: Stream, partition: number, creditBytes = 0): Promise<string> {
  const delivered = stream.all('records').findLast((each) => each.partition === partition);
  const { topicId = TOPIC_ID_BYTES, nextOffset = 0, epoch = 1 } = delivered ?? {};
  const place = { topicId, partition, offset: nextOffset, leaderEpoch: 1, epoch };
  const acknowledgeId = stream.all('acknowledged').length + 1;
  const value = { acknowledgeId, cursors: [place], records: [], creditBytes, creditRecords: 0 };
  stream.take({ $case: 'acknowledge', value });
  await harness.run(5);
  const answer = stream.last('acknowledged');
  expect(answer?.acknowledgeId).toBe(acknowledgeId);
  return answer?.cursors[0]?.error?.code ?? 'ok';
}

const committedAt = (partition: number): number | undefined =>
  [...(harness.host.view(GROUP)?.cursors.values() ?? [])].find(
    (cursor) => cursor.partition === partition,
  )?.offset;

const members = (): readonly string[] =>
  harness.host.describe(GROUP)?.members.map(({ memberId }) => memberId) ?? [];

describe('a member that reads by itself', () => {
  it('is shown what it has with the cursors, and what it shall let go before others have it', async () => {
    harness.put(0, 3);
    const first = await harness.open(ASSIGNMENTS);
    expect(first.sent[0]).toMatchObject({ $case: 'joined', value: { attachment: 1 } });
    expect(first.last('view')?.assigned).toMatchObject(
      [0, 1, 2, 3].map((partition) => ({ topic: 'orders', partition, cursor: { offset: 0 } })),
    );
    const second = await harness.open(ASSIGNMENTS);
    expect(first.revoked).toEqual([2, 3]);
    expect(first.last('view')?.revoked[0]).toMatchObject({ leftMs: 2_000 });
    // What it keeps is not begun anew.
    expect(first.last('view')?.assigned.map(({ cursor }) => cursor)).toEqual([
      undefined,
      undefined,
    ]);
    await harness.run(500);
    expect(second.assigned).toEqual([]);
    first.take({ $case: 'applied', value: { epoch: first.last('view')?.epoch ?? 0 } });
    await harness.run(50);
    expect(second.assigned).toEqual([2, 3]);
    expect(first.records).toEqual([]);
  });

  it('begins where its group is to begin, and where it was committed to', async () => {
    harness.put(1, 5);
    const first = await harness.open(ASSIGNMENTS);
    const epoch = first.last('view')?.assigned[1]?.epoch ?? 0;
    const place = { topicId: TOPIC_ID_BYTES, partition: 1, offset: 4, leaderEpoch: 1, epoch };
    const value = {
      acknowledgeId: 9,
      cursors: [place],
      records: [],
      creditBytes: 0,
      creditRecords: 0,
    };
    first.take({ $case: 'acknowledge', value });
    await harness.run(5);
    expect(first.last('acknowledged')).toEqual({
      acknowledgeId: 9,
      cursors: [{ error: undefined }],
      records: [],
    });
    first.take({ $case: 'leave', value: { isReturning: false } });
    await harness.run(20);
    expect(first.ended).toBeNull();
    expect(members()).toEqual([]);
    const next = await harness.open(ASSIGNMENTS);
    expect(next.last('view')?.assigned.map(({ cursor }) => cursor?.offset)).toEqual([0, 4, 0, 0]);
  });

  it('is over when it does not let go in time', async () => {
    const first = await harness.open({ ...ASSIGNMENTS, releaseMs: 700 });
    const second = await harness.open(ASSIGNMENTS);
    await harness.run(600);
    expect(first.ended).toBeUndefined();
    await harness.run(200);
    expect(first.last('fenced')).toEqual({ reason: ConsumeFence.CONSUME_FENCE_TOO_SLOW });
    expect(first.ended).toBe('FENCED');
    expect(second.assigned).toEqual([0, 1, 2, 3]);
  });
});

describe('a member that is to let go of more and more', () => {
  it('is over when it stops at the view before the last', async () => {
    const first = await harness.open({ ...ASSIGNMENTS, releaseMs: 700 });
    await harness.open(ASSIGNMENTS);
    const epoch = first.last('view')?.epoch ?? 0;
    await harness.run(300);
    for (let at = 0; at < 2; at += 1) await harness.open(ASSIGNMENTS);
    expect(first.last('view')?.epoch).toBeGreaterThan(epoch);
    first.take({ $case: 'applied', value: { epoch } });
    await harness.run(600);
    expect(first.ended).toBeUndefined();
    await harness.run(200);
    expect(first.last('fenced')).toEqual({ reason: ConsumeFence.CONSUME_FENCE_TOO_SLOW });
  });
});

describe('a member that is read for', () => {
  it('is given records within its credit, and more once it says so', async () => {
    harness.put(0, 6, 'x'.repeat(100));
    const stream = await harness.open({ creditBytes: 250, creditRecords: 0 });
    const seen = stream.records.length;
    expect(seen).toBeGreaterThan(1);
    expect(seen).toBeLessThan(6);
    stream.take({ $case: 'credit', value: { bytes: 150, records: 0 } });
    await harness.run(5);
    expect(stream.records.length).toBeGreaterThan(seen);
    expect(stream.records.length).toBeLessThan(6);
    expect(await acknowledge(stream, 0, 5_000)).toBe('ok');
    expect(stream.records).toEqual([0, 1, 2, 3, 4, 5].map((offset) => `0/${offset}`));
    expect(committedAt(0)).toBe(stream.all('records').at(-2)?.nextOffset);
  });

  it('has all of a partition acknowledged before others have it', async () => {
    for (const partition of [0, 3]) harness.put(partition, 2);
    const first = await harness.open();
    expect(first.records).toEqual(['0/0', '0/1', '3/0', '3/1']);
    const second = await harness.open();
    expect(first.revoked).toEqual([2, 3]);
    harness.put(3);
    await harness.run(300);
    // Views are applied as a whole.
    expect(second.assigned).toEqual([]);
    expect(first.records).toHaveLength(4);
    expect(await acknowledge(first, 3)).toBe('ok');
    await harness.run(50);
    expect(second.assigned).toEqual([2, 3]);
    expect(second.records).toEqual(['3/2']);
    // It is not the first one's any more.
    expect(await acknowledge(first, 3)).toBe('FENCED');
    expect(await acknowledge(first, 0)).toBe('ok');
  });

  it('loses a partition that it acknowledges too late, and others begin at the cursor', async () => {
    harness.put(3, 2);
    const first = await harness.open({ releaseMs: 1_000 });
    const second = await harness.open();
    await harness.run(900);
    expect(second.assigned).toEqual([]);
    await harness.run(200);
    expect(second.assigned).toEqual([2, 3]);
    expect(second.records).toEqual(['3/0', '3/1']);
    expect(await acknowledge(first, 3)).toBe('FENCED');
    expect(first.ended).toBeUndefined();
  });

  it('loses each partition in its own time, however many are taken from it', async () => {
    for (const partition of [0, 1, 2, 3]) harness.put(partition, 1);
    const first = await harness.open({ releaseMs: 1_000 });
    const second = await harness.open();
    await harness.run(800);
    const others = [second, await harness.open(), await harness.open()];
    const given = (): readonly number[] => others.flatMap(({ assigned }) => assigned);
    expect(first.revoked).toHaveLength(3);
    await harness.run(300);
    // What was taken last is open yet: views are applied as a whole.
    expect(given()).toEqual([]);
    await harness.run(600);
    expect(given()).toEqual([]);
    await harness.run(500);
    expect(given()).toHaveLength(3);
    expect(first.ended).toBeUndefined();
  });

  it('is not waited for where somebody has moved the cursor of what it lets go', async () => {
    harness.put(3, 2);
    const first = await harness.open({ releaseMs: 10_000 });
    const second = await harness.open();
    await harness.run(100);
    expect(second.assigned).toEqual([]);
    const place = { group: GROUP, topic: 'orders', topicId: idOf(), partition: 3 };
    const sought = harness.host.seek([{ ...place, offset: 1, leaderEpoch: 0 }]);
    await harness.run(100);
    await sought;
    expect(second.records).toEqual(['3/1']);
    expect(first.assigned).toEqual([0, 1]);
  });

  it('may give credit before it has joined', async () => {
    harness.put(0, 6, 'x'.repeat(100));
    const stream = harness.stream();
    stream.take({ $case: 'open', value: openOf({ creditBytes: 1 }) });
    stream.take({ $case: 'credit', value: { bytes: 5_000, records: 0 } });
    await harness.run(50);
    expect(stream.records).toHaveLength(6);
  });

  it('is told what may be lost with the first record behind it, once', async () => {
    const report = { topic: 'orders', topicId: idOf(), partition: 0, leaderEpoch: 2, leader: 1 };
    harness.losses = [{ ...report, fromOffset: 1, atMs: 5 }];
    harness.put(0, 2);
    const stream = await harness.open();
    expect(stream.all('records').flatMap(({ losses }) => losses)).toEqual([]);
    harness.put(0, 2, 'y', 2);
    harness.put(1, 1, 'y', 2);
    await harness.run(20);
    const told = stream.all('records').filter(({ losses }) => losses.length > 0);
    expect(told.map(({ records }) => records[0]?.offset)).toEqual([2]);
    expect(told[0]?.losses).toMatchObject([
      { report: { partition: 0, leaderEpoch: 2, fromOffset: 1 }, toOffset: 2 },
    ]);
  });

  it('pauses partitions, and goes on with them where it was', async () => {
    harness.put(0, 2);
    const stream = await harness.open();
    const partitions = [{ topicId: TOPIC_ID_BYTES, partition: 0 }];
    stream.take({ $case: 'pause', value: { partitions } });
    harness.put(0, 2);
    harness.put(1);
    await harness.run(20);
    expect(stream.records).toEqual(['0/0', '0/1', '1/0']);
    stream.take({ $case: 'resume', value: { partitions } });
    await harness.run(20);
    expect(stream.records).toEqual(['0/0', '0/1', '1/0', '0/2', '0/3']);
  });

  it('is told of what cannot be decoded, and given all else', async () => {
    harness.put(0, 2);
    harness.damage(0);
    harness.put(1);
    const stream = await harness.open();
    expect(stream.records).toEqual(['0/0', '1/0']);
    expect(stream.last('view')?.assigned.map(({ error }) => error?.code)).toEqual([
      'UNDECODABLE',
      undefined,
      undefined,
      undefined,
    ]);
    harness.put(1);
    await harness.run(20);
    expect(stream.records).toEqual(['0/0', '1/0', '1/1']);
  });

  it('begins anew where somebody seeks', async () => {
    harness.put(0, 3);
    const stream = await harness.open();
    expect(await acknowledge(stream, 0)).toBe('ok');
    const seek = { group: GROUP, topic: 'orders', topicId: idOf(), partition: 0 };
    const sought = harness.host.seek([{ ...seek, offset: 1, leaderEpoch: 0 }]);
    await harness.run(50);
    await sought;
    expect(stream.records).toEqual(['0/0', '0/1', '0/2', '0/1', '0/2']);
    expect(await acknowledge(stream, 0)).toBe('ok');
    expect(committedAt(0)).toBe(3);
  });

  it('is not sent anything while it does not read, and the newest view once it does', async () => {
    const first = await harness.open();
    first.hasRoom = false;
    harness.put(0, 1);
    await harness.run(20);
    expect(first.records).toEqual(['0/0']);
    expect(first.isListenedTo).toBe(false);
    const sent = first.sent.length;
    harness.put(0, 5);
    const second = await harness.open();
    const third = await harness.open();
    await harness.run(SESSION_MS);
    expect(first.sent).toHaveLength(sent);
    // Its place is not blocked by that: nothing was delivered of what it lets go.
    expect([...second.assigned, ...third.assigned].length).toBeGreaterThan(1);
    first.hasRoom = true;
    first.session.onDrain();
    await harness.run(20);
    expect(first.isListenedTo).toBe(true);
    expect(first.records).toEqual([0, 1, 2, 3, 4, 5].map((offset) => `0/${offset}`));
    expect(first.assigned.length).toBeLessThan(4);
  });
});

const idOf = (): string => '22222222-2222-4222-8222-222222222222';

describe('a session', () => {
  it('goes on while its coordinator answers', async () => {
    const stream = await harness.open();
    await harness.run(3 * SESSION_MS);
    expect(members()).toHaveLength(1);
    expect(stream.ended).toBeUndefined();
    const leases = stream.all('lease').map(({ leftMs }) => leftMs);
    // With every third of the session, for two thirds of it.
    expect(leases.length).toBeGreaterThanOrEqual(8);
    expect(Math.min(...leases)).toBeGreaterThan(SESSION_MS / 3);
    expect(Math.max(...leases)).toBeLessThanOrEqual((SESSION_MS * 2) / 3);
  });

  it('delivers nothing two thirds after what was answered last was sent', async () => {
    const stream = await harness.open();
    await harness.run(SESSION_MS / 3);
    harness.replica.change({ isReady: false });
    await harness.run((SESSION_MS * 2) / 3 - 400);
    harness.put(0, 1);
    await harness.run(10);
    expect(stream.records).toEqual(['0/0']);
    await harness.run(400);
    expect(stream.last('lease')).toEqual({ leftMs: 0 });
    harness.put(0, 1);
    await harness.run(1_000);
    expect(stream.records).toEqual(['0/0']);
    // Its coordinator lives: it begins all sessions anew.
    harness.replica.change({ isReady: true });
    await harness.run(300);
    expect(stream.records).toEqual(['0/0', '0/1']);
    expect(stream.last('lease')?.leftMs).toBeGreaterThan(0);
  });

  it('ends with the heartbeat that it does not count in, where nobody has told it', async () => {
    const stream = await harness.open();
    const [memberId = ''] = members();
    harness.isTellingLost = true;
    const leave = { kind: 'leave', group: GROUP, memberId, attachment: 1 } as const;
    const left = harness.host.ask(1, { ...leave, isReturning: false });
    await harness.run(SESSION_MS / 3);
    await left;
    expect(stream.last('fenced')).toEqual({ reason: ConsumeFence.CONSUME_FENCE_UNSPECIFIED });
    expect(stream.ended).toBe('FENCED');
    harness.put(0);
    await harness.run(50);
    expect(stream.records).toEqual([]);
  });

  it('shrinks to its grace when the stream breaks', async () => {
    const stream = await harness.open();
    const other = await harness.open();
    stream.session.close();
    await harness.run(700);
    expect(members()).toHaveLength(2);
    await harness.run(1_500);
    expect(members()).toHaveLength(1);
    expect(other.assigned).toEqual([0, 1, 2, 3]);
  });

  it('shrinks to its grace too when it leaves and nobody hears of it', async () => {
    const stream = await harness.open();
    const other = await harness.open();
    harness.replica.change({ isReady: false });
    stream.take({ $case: 'leave', value: { isReturning: false } });
    await harness.run(6_000);
    expect(stream.ended).not.toBeUndefined();
    harness.replica.change({ isReady: true });
    await harness.run(2_500);
    expect(members()).toHaveLength(1);
    expect(other.assigned).toEqual([0, 1, 2, 3]);
  });

  it('is taken up by another stream of the member, and the old one is told', async () => {
    const memberId = 'aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa';
    const first = await harness.open({ memberId });
    const second = await harness.open({ memberId, attempt: 2, epoch: 1 });
    expect(first.last('fenced')).toEqual({
      reason: ConsumeFence.CONSUME_FENCE_ATTACHED_ELSEWHERE,
    });
    expect(first.ended).toBe('FENCED');
    expect(second.assigned).toEqual([0, 1, 2, 3]);
    // The old stream's end is no end of the member.
    await harness.run(2 * SESSION_MS);
    expect(members()).toEqual([memberId]);
    const late = await harness.open({ memberId, attempt: 1 });
    expect(late.ended).toBe('FENCED');
  });

  it('is told to go elsewhere when its broker stops, which attaches nobody then', async () => {
    const stream = await harness.open();
    harness.phase = 'stopping';
    await harness.run(200);
    expect(stream.all('reattach')).toHaveLength(1);
    expect(stream.ended).toBeUndefined();
    const late = harness.stream();
    expect(() => late.take({ $case: 'open', value: openOf() })).toThrow(
      expect.objectContaining({ code: 'BROKER_NOT_READY' }),
    );
    // Nor does it say that the stream broke: the member attaches elsewhere.
    stream.session.close();
    await harness.run(2_000);
    expect(members()).toHaveLength(1);
  });

  it('is answered once it has left, after all that it acknowledged', async () => {
    harness.put(0, 2);
    const stream = await harness.open();
    const { topicId = TOPIC_ID_BYTES, epoch = 1 } = stream.last('records') ?? {};
    const cursors = [{ topicId, partition: 0, offset: 2, leaderEpoch: 1, epoch }];
    const value = { acknowledgeId: 1, cursors, records: [], creditBytes: 0, creditRecords: 0 };
    stream.take({ $case: 'acknowledge', value });
    stream.take({ $case: 'leave', value: { isReturning: false } });
    await harness.run(50);
    expect(stream.ended).toBeNull();
    expect(committedAt(0)).toBe(2);
    expect(members()).toEqual([]);
    expect(stream.all('fenced')).toEqual([]);
  });
});

describe('what no honest client sends', () => {
  const faultOf = (act: () => void): string => {
    try {
      act();
    } catch (error) {
      if (error instanceof BrokerError) return `${error.code} ${error.message}`;
      throw error;
    }
    return 'taken';
  };

  it.each([
    [{ topics: [] }, 'topics length is 0'],
    [{ topics: ['a b'] }, 'topics is "a b"'],
    [{ group: '__groups' }, 'group is "__groups"'],
    [{ memberId: 'me' }, 'member_id is "me"'],
    [{ creditBytes: 0, creditRecords: 0 }, 'credit_bytes is 0'],
    [{ releaseMs: 10_000_000 }, 'release_ms is 10000000'],
    [{ type: 9 as 1 }, 'type is 9'],
    [{ delivery: -1 as 1 }, 'delivery is -1'],
  ])('is refused in an opening: %j', (patch, text) => {
    const stream = harness.stream();
    const fault = faultOf(() => {
      stream.take({ $case: 'open', value: openOf(patch) });
    });
    expect(fault).toContain(`INVALID_ARGUMENT ${text}`);
    expect(harness.proxy.count).toBe(0);
  });

  it('is refused by the coordinator where it alone knows', async () => {
    expect((await harness.open({ sessionMs: 1_000 })).ended).toBe('INVALID_ARGUMENT');
    expect((await harness.open({ assignor: 'mine' })).ended).toBe('INVALID_ARGUMENT');
    expect((await harness.open({ returnMs: 5 })).ended).toBe('INVALID_ARGUMENT');
    expect((await harness.open({ epoch: 5 })).ended).toBe('FENCED');
    expect(harness.proxy.count).toBe(0);
  });

  it('is refused before an opening, and a second one too', async () => {
    const silent = harness.stream();
    expect(
      faultOf(() => silent.take({ $case: 'credit', value: { bytes: 1, records: 0 } })),
    ).toContain('message is "credit"');
    const stream = await harness.open();
    expect(faultOf(() => stream.take({ $case: 'open', value: openOf() }))).toContain(
      'message is "open"',
    );
  });

  it('is refused where it goes beyond what it was given', async () => {
    const stream = await harness.open(ASSIGNMENTS);
    const place = { topicId: TOPIC_ID_BYTES, partition: 0, offset: 1, leaderEpoch: 1, epoch: 1 };
    const value = {
      acknowledgeId: 1,
      cursors: [place, place],
      records: [],
      creditBytes: 0,
      creditRecords: 0,
    };
    const refused: readonly (readonly [ConsumeRequest['message'], string])[] = [
      [{ $case: 'applied', value: { epoch: 99 } }, 'applied.epoch is 99'],
      [
        { $case: 'credit', value: { bytes: CREDIT_BYTES_MAX + 1, records: 0 } },
        'credit_bytes, in sum',
      ],
      [{ $case: 'acknowledge', value }, 'cursors[1] is'],
      [
        { $case: 'pause', value: { partitions: [{ topicId: new Uint8Array(3), partition: 0 }] } },
        'pause.partitions.topic_id length is 3',
      ],
    ];
    for (const [message, text] of refused)
      expect(faultOf(() => stream.take(message))).toContain(`INVALID_ARGUMENT ${text}`);
    const delivered = await harness.open();
    expect(faultOf(() => delivered.take({ $case: 'applied', value: { epoch: 1 } }))).toContain(
      'message is "applied"',
    );
  });

  it('counts for nobody else: what somebody else holds is not committed', async () => {
    harness.put(0, 2);
    const first = await harness.open();
    const second = await harness.open();
    const { epoch = 1 } = first.last('records') ?? {};
    const place = { topicId: TOPIC_ID_BYTES, partition: 0, offset: 2, leaderEpoch: 1 };
    const value = {
      acknowledgeId: 1,
      cursors: [{ ...place, epoch }],
      records: [],
      creditBytes: 0,
      creditRecords: 0,
    };
    second.take({ $case: 'acknowledge', value });
    await harness.run(5);
    expect(second.last('acknowledged')?.cursors[0]?.error?.code).toBe('FENCED');
    expect(committedAt(0)).toBe(0);
  });
});
