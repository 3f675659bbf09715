import { describe, expect, it } from 'vitest';
import {
  FollowerStreams,
  type FollowerStreamsHost,
} from '../../../../../broker/runtime/partitions/follower-streams.ts';
import type { ReplicaStreamEvents } from '../../../../../broker/runtime/ports.ts';
import { FakeClock } from '../fake-clock.ts';

const FRAMES = {
  topicId: 't',
  partition: 0,
  leaderEpoch: 1,
  highWaterMark: 0,
  logStartOffset: 0,
  chunks: [],
};

/** Streams to broker 2, as the network sees them. */
function streams() {
  const clock = new FakeClock();
  const opened: { events: ReplicaStreamEvents; isClosed: boolean }[] = [];
  const heard: string[] = [];
  const peers = {
    follow: (_leader: number, _hello: object, events: ReplicaStreamEvents) => {
      const stream = { events, isClosed: false };
      opened.push(stream);
      return {
        sendPosition: () => undefined,
        sendCredit: () => undefined,
        close: () => {
          stream.isClosed = true;
        },
      };
    },
  };
  const host = {
    clock,
    peers,
    self: 1,
    clusterId: 'c',
    onOpen: (leader: number) => heard.push(`open ${leader}`),
    onFrames: (leader: number) => heard.push(`frames ${leader}`),
    onMessage: () => heard.push('message'),
  } as unknown as FollowerStreamsHost;
  const made = new FollowerStreams(host);
  made.update(1, new Map([[2, 1]]));
  return { made, clock, opened, heard };
}

describe('FollowerStreams.reopen()', () => {
  it('ends the stream of a leader that said what cannot be, hears it no more, and opens another after a pause', () => {
    const { made, clock, opened, heard } = streams();
    opened[0]?.events.onOpen();

    made.reopen(2);
    opened[0]?.events.onFrames(FRAMES);
    const before = opened.length;
    clock.advance(1_000);
    opened[1]?.events.onOpen();
    opened[1]?.events.onFrames(FRAMES);

    expect([before, opened.length, opened[0]?.isClosed]).toEqual([1, 2, true]);
    expect(heard).toEqual(['open 2', 'open 2', 'frames 2']);
  });

  it('opens none once the leader is no longer followed', () => {
    const { made, clock, opened } = streams();

    made.reopen(2);
    made.update(1, new Map());
    clock.advance(1_000);

    expect(opened).toHaveLength(1);
  });
});

describe('FollowerStreams.restart()', () => {
  it('opens another at once', () => {
    const { made, opened } = streams();

    made.restart(2);

    expect(opened.map(({ isClosed }) => isClosed)).toEqual([true, false]);
  });
});
