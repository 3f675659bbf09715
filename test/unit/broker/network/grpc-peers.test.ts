import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

import { afterEach, describe, expect, it } from 'vitest';

import { BrokerError } from '../../../../base/errors.ts';
import { ChannelPool } from '../../../../broker/network/channel-pool.ts';
import { INITIAL_CREDIT_BYTES } from '../../../../broker/network/follower-stream.ts';
import { GrpcPeers } from '../../../../broker/network/grpc-peers.ts';
import { probe } from '../../../../broker/network/probe.ts';
import { GrpcServer } from '../../../../broker/network/grpc-server.ts';
import type { RaftMessage } from '../../../../broker/raft/types.ts';
import type {
  Inspection,
  PushedFrames,
  ReplicaStreamEvents,
} from '../../../../broker/runtime/ports.ts';
import { systemClock } from '../../../../process/system-clock.ts';
import { CLUSTER_ID, directoryOf, FakeHandler, peerOf } from './fake-handler.ts';

const TOPIC = '22222222-2222-4222-8222-222222222222';
const HEARTBEAT: RaftMessage = {
  kind: 'follow',
  term: 3,
  incarnation: 1,
  toIncarnation: 0,
  lastIndex: 5,
  lastTerm: 2,
};

interface Node {
  readonly handler: FakeHandler;
  readonly peers: GrpcPeers;
  readonly port: number;
  readonly defects: unknown[];
  stop(): Promise<void>;
}

const nodes: Node[] = [];

async function start(brokerId: number, isServing = true): Promise<Node> {
  const handler = new FakeHandler(brokerId);
  const server = new GrpcServer();
  const channels = new ChannelPool(systemClock);
  const defects: unknown[] = [];
  const peers = new GrpcPeers({
    server,
    channels,
    probe,
    clock: systemClock,
    report: (error) => defects.push(error),
  });
  if (isServing) peers.serve(handler);
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  const stop = async (): Promise<void> => {
    await peers.close();
    channels.close();
    await server.close(0);
  };
  const node = { handler, peers, port, defects, stop };
  nodes.push(node);
  return node;
}

function introduce(...known: readonly Node[]): void {
  const addresses = new Map(
    known.map(({ handler, port }) => [handler.brokerId, { host: '127.0.0.1', port }]),
  );
  for (const { peers } of known) peers.setAddresses(addresses);
}

afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});

/** A port where nothing listens: taken, then given back. */
async function deadPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('GrpcPeers raft', () => {
  it('delivers messages in order, with both ends', async () => {
    const [one, two] = [await start(1), await start(2)];
    introduce(one, two);
    for (let lastIndex = 0; lastIndex < 100; lastIndex += 1) {
      one.peers.sendRaft(peerOf(1), {
        to: peerOf(2),
        message: { ...HEARTBEAT, kind: 'follow', lastIndex, lastTerm: 2 },
      });
    }
    await two.handler.until(() => two.handler.raft.length === 100);
    expect(
      two.handler.raft.map(({ message }) => ('lastIndex' in message ? message.lastIndex : -1)),
    ).toEqual(Array.from({ length: 100 }, (_, index) => index));
    expect(two.handler.raft[0]).toEqual({
      from: peerOf(1),
      to: peerOf(2),
      message: { ...HEARTBEAT, lastIndex: 0 },
    });
  });

  it('leaves out a message that it cannot read, and goes on with the stream', async () => {
    const [one, two] = [await start(1), await start(2)];
    introduce(one, two);
    const unread = { brokerId: 1, directoryId: 'no UUID' };
    one.peers.sendRaft(unread, { to: peerOf(2), message: HEARTBEAT });
    one.peers.sendRaft(peerOf(1), { to: peerOf(2), message: HEARTBEAT });
    await two.handler.until(() => two.handler.raft.length === 1);
    expect(two.handler.raft[0]?.from).toEqual(peerOf(1));
    expect(two.handler.refused).toEqual([
      'from.directory_id is "no UUID", must be a UUID in lower case',
    ]);
    expect([one.handler.disconnected, two.handler.disconnected]).toEqual([[], []]);
  });

  it('drops messages to a broker without an address', async () => {
    const one = await start(1);
    one.peers.sendRaft(peerOf(1), { to: peerOf(9), message: HEARTBEAT });
    expect(one.handler.disconnected).toEqual([]);
  });

  it('reports a peer whose connections broke once, however many there were', async () => {
    const [one, two] = [await start(1), await start(2)];
    const wire = await Wire.to(two.port);
    const back = await Wire.to(one.port);
    one.peers.setAddresses(new Map([[2, { host: '127.0.0.1', port: wire.port }]]));
    two.peers.setAddresses(new Map([[1, { host: '127.0.0.1', port: back.port }]]));
    one.peers.sendRaft(peerOf(1), { to: peerOf(2), message: HEARTBEAT });
    two.peers.sendRaft(peerOf(2), { to: peerOf(1), message: HEARTBEAT });
    const seen: Followed = { frames: [], messages: [], closed: [], opened: 0 };
    one.peers.follow(2, HELLO, eventsInto(seen, one.handler));
    await one.handler.until(() => one.handler.raft.length === 1 && seen.opened === 1);
    await two.handler.until(() => two.handler.raft.length === 1);

    await Promise.all([wire.cut(), back.cut()]);

    await one.handler.until(() => seen.closed.length === 1 && one.handler.disconnected.length > 0);
    await two.handler.until(
      () => two.handler.closedLinks.length === 1 && two.handler.disconnected.length > 0,
    );
    expect([one.handler.disconnected, two.handler.disconnected]).toEqual([[2], [1]]);
  });

  it('reports nothing when a peer ends its streams in order', async () => {
    const [one, two] = [await start(1), await start(2)];
    introduce(one, two);
    one.peers.sendRaft(peerOf(1), { to: peerOf(2), message: HEARTBEAT });
    await two.handler.until(() => two.handler.raft.length === 1);
    nodes.splice(nodes.indexOf(one), 1);
    await one.stop();
    // A later call proves that the news of the end would have arrived by now.
    const three = await start(3);
    introduce(two, three);
    three.peers.sendRaft(peerOf(3), { to: peerOf(2), message: HEARTBEAT });
    await two.handler.until(() => two.handler.raft.length === 2);
    expect(two.handler.disconnected).toEqual([]);
  });
});

/** A TCP relay that can be cut, as a killed process or a pulled cable cuts it. */
class Wire {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.port = (server.address() as AddressInfo).port;
  }

  static async to(port: number): Promise<Wire> {
    const sockets = new Set<Socket>();
    const server = createServer((near) => {
      const far = connect(port, '127.0.0.1');
      for (const socket of [near, far]) sockets.add(socket.on('error', () => undefined));
      near.pipe(far).pipe(near);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Wire(server, sockets);
  }

  cut(): Promise<void> {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

describe('GrpcPeers.callController()', () => {
  it('returns the answer of the controller', async () => {
    const [one, two] = [await start(1), await start(2)];
    introduce(one, two);
    two.handler.decide = async (request) => {
      expect(request).toEqual({ kind: 'init-producer', name: 'billing' });
      return { kind: 'init-producer', producerId: 4, producerEpoch: 2 };
    };
    const reply = await one.peers.callController(
      2,
      { kind: 'init-producer', name: 'billing' },
      5_000,
    );
    expect(reply).toEqual({ kind: 'init-producer', producerId: 4, producerEpoch: 2 });
  });

  it('rejects with the refusal and its hint', async () => {
    const [one, two] = [await start(1), await start(2)];
    introduce(one, two);
    const call = one.peers.callController(2, { kind: 'init-producer', name: '' }, 5_000);
    await expect(call).rejects.toMatchObject({
      code: 'NOT_CONTROLLER',
      details: { controller: 7 },
    });
  });

  it('reports a defect and answers INTERNAL', async () => {
    const [one, two] = [await start(1), await start(2)];
    introduce(one, two);
    two.handler.decide = () => Promise.reject(new TypeError('boom'));
    await expect(
      one.peers.callController(2, { kind: 'init-producer', name: '' }, 5_000),
    ).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(two.defects).toMatchObject([{ message: 'boom' }]);
  });

  it.each([
    { name: 'no address', address: null, code: 'BROKER_NOT_READY' },
    { name: 'nothing listens', address: 'dead', code: 'UNREACHABLE' },
  ])('rejects with $code: $name', async ({ address, code }) => {
    const one = await start(1);
    if (address !== null)
      one.peers.setAddresses(new Map([[5, { host: '127.0.0.1', port: await deadPort() }]]));
    await expect(
      one.peers.callController(5, { kind: 'init-producer', name: '' }, 60_000),
    ).rejects.toMatchObject({ code });
  });

  it('rejects with BROKER_NOT_READY while the other runtime does not serve', async () => {
    const [one, two] = [await start(1), await start(2, false)];
    introduce(one, two);
    await expect(
      one.peers.callController(2, { kind: 'init-producer', name: '' }, 5_000),
    ).rejects.toMatchObject({ code: 'BROKER_NOT_READY' });
  });
});

describe('GrpcPeers.callInspect()', () => {
  it.each([
    null,
    { lastEpoch: 4, endOffset: 99 },
    { lastEpoch: 4, endOffset: 99, highWaterMark: 0 },
  ])('returns %o', async (log) => {
    const [one, two] = [await start(1), await start(2)];
    introduce(one, two);
    const asked: Inspection[] = [];
    two.handler.inspect = async (inspection) => {
      asked.push(inspection);
      return log;
    };
    const inspection = { topicId: TOPIC, partition: 0, leaderEpoch: 5, brokerEpoch: 7 };
    expect(await one.peers.callInspect(2, inspection, 5_000)).toEqual(log);
    expect(asked).toEqual([inspection]);
  });
});

describe('GrpcPeers.probe()', () => {
  it('returns who listens', async () => {
    const [one, two] = [await start(1), await start(2)];
    const info = await one.peers.probe({ host: '127.0.0.1', port: two.port }, 5_000);
    expect(info).toEqual({
      brokerId: 2,
      directoryId: directoryOf(2),
      clusterId: CLUSTER_ID,
      brokerEpoch: 12,
      controller: 3,
      controllerAddress: { host: 'controller', port: 9_641 },
    });
  });

  it('returns null where the connection is refused', async () => {
    const one = await start(1);
    expect(await one.peers.probe({ host: '127.0.0.1', port: await deadPort() }, 60_000)).toBeNull();
  });

  it('rejects where something listens and is silent', async () => {
    const one = await start(1);
    const silent = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    await expect(one.peers.probe({ host: '127.0.0.1', port }, 100)).rejects.toMatchObject({
      code: 'UNREACHABLE',
    });
    await new Promise((resolve) => silent.close(resolve));
  });
});

interface Followed {
  readonly frames: PushedFrames[];
  readonly messages: unknown[];
  readonly closed: string[];
  opened: number;
}

function eventsInto(followed: Followed, handler: FakeHandler): ReplicaStreamEvents {
  return {
    onOpen: () => {
      followed.opened += 1;
      handler.notify();
    },
    onFrames: (frames) => {
      followed.frames.push(frames);
      handler.notify();
    },
    onMessage: (_topicId, _partition, message) => {
      followed.messages.push(message);
      handler.notify();
    },
    onClose: (reason) => {
      followed.closed.push(reason);
      handler.notify();
    },
  };
}

const HELLO = { self: 1, selfEpoch: 11, targetEpoch: 12, clusterId: CLUSTER_ID };

function framesOf(partition: number, ...chunks: readonly Uint8Array[]): PushedFrames {
  return {
    topicId: TOPIC,
    partition,
    leaderEpoch: 3,
    highWaterMark: 40,
    logStartOffset: 2,
    chunks,
  };
}

describe('GrpcPeers.follow()', () => {
  async function followed(): Promise<{
    follower: Node;
    leader: Node;
    seen: Followed;
    stream: ReturnType<GrpcPeers['follow']>;
  }> {
    const [follower, leader] = [await start(1), await start(2)];
    introduce(follower, leader);
    const seen: Followed = { frames: [], messages: [], closed: [], opened: 0 };
    const stream = follower.peers.follow(2, HELLO, eventsInto(seen, follower.handler));
    await leader.handler.until(
      () => leader.handler.followers.length === 1 && leader.handler.credits === 1,
    );
    return { follower, leader, seen, stream };
  }

  it('opens with both epochs and a first credit', async () => {
    const { leader, follower, seen } = await followed();
    await follower.handler.until(() => seen.opened === 1);
    const { link, targetEpoch } = leader.handler.followers[0]!;
    expect([link.brokerId, link.brokerEpoch, targetEpoch, link.creditBytes()]).toEqual([
      1,
      11,
      12,
      INITIAL_CREDIT_BYTES,
    ]);
  });

  it('sends the newest position of each partition of a turn', async () => {
    const { leader, stream } = await followed();
    const position = {
      from: 1,
      brokerEpoch: 11,
      leaderEpoch: 3,
      lastEpoch: 3,
      endOffset: 5,
      syncedOffset: 1,
    };
    stream.sendPosition(TOPIC, 0, { ...position, resend: true });
    stream.sendPosition(TOPIC, 1, position);
    stream.sendPosition(TOPIC, 0, { ...position, endOffset: 9 });
    await leader.handler.until(() => leader.handler.positions.length === 2);
    expect(leader.handler.positions).toEqual([
      { partition: 0, position: { ...position, endOffset: 9, resend: true } },
      { partition: 1, position },
    ]);
  });

  it('delivers pushed frames, joins the pushes of a turn, and counts credit', async () => {
    const { leader, follower, seen, stream } = await followed();
    const { link } = leader.handler.followers[0]!;
    link.push([framesOf(0, Uint8Array.of(1, 2), Uint8Array.of(3)), framesOf(7)]);
    link.push([{ ...framesOf(0, Uint8Array.of(4)), highWaterMark: 41 }]);
    expect(link.creditBytes()).toBe(INITIAL_CREDIT_BYTES - 4);
    await follower.handler.until(() => seen.frames.length === 2);
    expect(
      seen.frames.map((frames) => ({
        ...frames,
        chunks: frames.chunks.map((chunk) => [...chunk]),
      })),
    ).toEqual([
      { ...framesOf(0), highWaterMark: 41, chunks: [[1, 2, 3, 4]] },
      { ...framesOf(7), chunks: [] },
    ]);
    stream.sendCredit(4);
    await leader.handler.until(() => leader.handler.credits === 2);
    expect(link.creditBytes()).toBe(INITIAL_CREDIT_BYTES);
  });

  it('splits what is larger than a message at chunks, in order', async () => {
    const { leader, follower, seen } = await followed();
    const chunks = Array.from({ length: 5 }, (_, index) => new Uint8Array(700_000).fill(index));
    leader.handler.followers[0]!.link.push([framesOf(0, ...chunks)]);
    await follower.handler.until(() => seen.frames.length === 5);
    expect(seen.frames.map(({ chunks: [chunk] }) => [chunk?.length, chunk?.[0]])).toEqual(
      chunks.map((chunk, index) => [chunk.length, index]),
    );
  });

  it('keeps the order of frames and messages', async () => {
    const { leader, follower, seen } = await followed();
    const { link } = leader.handler.followers[0]!;
    link.send(TOPIC, 0, { kind: 'diverged', to: 1, leaderEpoch: 3, epoch: 2, endOffset: 8 });
    link.send(TOPIC, 1, {
      kind: 'reset-to',
      to: 1,
      leaderEpoch: 3,
      startOffset: 6,
      startEpoch: 2,
      tombstonesBelow: 4,
    });
    link.push([framesOf(0, Uint8Array.of(1))]);
    await follower.handler.until(() => seen.frames.length === 1);
    expect(seen.messages).toEqual([
      { kind: 'diverged', to: 1, leaderEpoch: 3, epoch: 2, endOffset: 8 },
      {
        kind: 'reset-to',
        to: 1,
        leaderEpoch: 3,
        startOffset: 6,
        startEpoch: 2,
        tombstonesBelow: 4,
      },
    ]);
  });

  it('tells the follower why it was refused', async () => {
    const [follower, leader] = [await start(1), await start(2)];
    introduce(follower, leader);
    leader.handler.refuseFollower = new BrokerError(
      'STALE_EPOCH',
      'Target epoch is 12, must be 13',
    );
    const seen: Followed = { frames: [], messages: [], closed: [], opened: 0 };
    follower.peers.follow(2, HELLO, eventsInto(seen, follower.handler));
    await follower.handler.until(() => seen.closed.length === 1);
    expect(seen).toEqual({
      frames: [],
      messages: [],
      closed: ['Target epoch is 12, must be 13'],
      opened: 0,
    });
    expect(leader.handler.closedLinks).toEqual([]);
  });

  it('refuses a follower of another cluster', async () => {
    const [follower, leader] = [await start(1), await start(2)];
    introduce(follower, leader);
    const seen: Followed = { frames: [], messages: [], closed: [], opened: 0 };
    follower.peers.follow(2, { ...HELLO, clusterId: 'other' }, eventsInto(seen, follower.handler));
    await follower.handler.until(() => seen.closed.length === 1);
    expect(seen.closed).toEqual([`Cannot replicate: cluster is "other", must be "${CLUSTER_ID}"`]);
  });

  it('closes where no address is known', async () => {
    const follower = await start(1);
    const seen: Followed = { frames: [], messages: [], closed: [], opened: 0 };
    follower.peers.follow(9, HELLO, eventsInto(seen, follower.handler));
    await follower.handler.until(() => seen.closed.length === 1);
    expect(seen.closed).toEqual(['no address of broker 9 is known']);
  });

  it('tells the leader once that the follower has gone, and is silent itself', async () => {
    const { leader, follower, seen, stream } = await followed();
    await follower.handler.until(() => seen.opened === 1);
    stream.close();
    await leader.handler.until(() => leader.handler.closedLinks.length === 1);
    expect(leader.handler.closedLinks).toEqual([leader.handler.followers[0]!.link]);
    expect([seen.closed, follower.handler.disconnected]).toEqual([[], []]);
  });

  it('tells the follower when the leader ends the stream', async () => {
    const { leader, follower, seen } = await followed();
    leader.handler.followers[0]!.link.close('fenced');
    await follower.handler.until(() => seen.closed.length === 1);
    await leader.handler.until(() => leader.handler.closedLinks.length === 1);
    expect(seen.closed).toEqual(['Replication stream was ended: fenced']);
    expect([leader.handler.disconnected, follower.handler.disconnected]).toEqual([[], []]);
  });
});
