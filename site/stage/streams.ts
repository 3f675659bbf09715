/**
 * Replication streams: a follower opens one to its leader, and states on it where it is; the leader
 * pushes. A stream is bound to two processes and is closed where the link between them is cut.
 */
import type { Position } from '../../broker/replication/types.ts';
import { endOf } from '../../test/sim/replication/model-log.ts';
import { cellOf } from './batches.ts';
import type { StageBroker } from './broker.ts';
import type { Network } from './network.ts';

/** Messages of one leader to one follower that may be on their way. */
const PUSHES_MAX = 6;

/** A follower's stream to its leader, bound to two processes. */
interface Stream {
  readonly follower: StageBroker['process'];
  readonly leader: StageBroker['process'];
  pushes: number;
}

export class Streams {
  readonly #brokers: ReadonlyMap<number, StageBroker>;
  readonly #network: Network;
  readonly #nameOf: (crc: number) => string;
  readonly #streams = new Map<string, Stream>();

  constructor(
    brokers: ReadonlyMap<number, StageBroker>,
    network: Network,
    nameOf: (crc: number) => string,
  ) {
    this.#brokers = brokers;
    this.#network = network;
    this.#nameOf = nameOf;
  }

  /** The follower says where it is, where it can. */
  state(follower: StageBroker, to: number, position: Position): void {
    if (this.#open(follower, to) !== 'none') this.#send(follower, to, position);
  }

  /** Opens the stream to the leader where there is none: the follower states where it is. */
  connect(follower: StageBroker): void {
    const stated = follower.partition?.position() ?? null;
    if (stated === null || this.#open(follower, stated.to) !== 'opened') return;
    this.#send(follower, stated.to, stated.position);
  }

  #open(follower: StageBroker, to: number): 'opened' | 'open' | 'none' {
    const leader = this.#brokers.get(to);
    if (leader?.partition == null || this.#network.isCut(follower.id, to)) return 'none';
    const key = `${follower.id}>${to}`;
    const present = this.#streams.get(key);
    if (present?.follower === follower.process && present.leader === leader.process) return 'open';
    leader.partition.followerGone(follower.id);
    this.#streams.set(key, { follower: follower.process, leader: leader.process, pushes: 0 });
    return 'opened';
  }

  close(one: number, other: number): void {
    for (const [follower, leader] of [
      [one, other],
      [other, one],
    ] as const) {
      if (!this.#streams.delete(`${follower}>${leader}`)) continue;
      this.#brokers.get(leader)?.partition?.followerGone(follower);
    }
  }

  #send(follower: StageBroker, to: number, position: Position): void {
    const stream = this.#streams.get(`${follower.id}>${to}`);
    const { endOffset, lastEpoch } = position;
    this.#network.send({
      kind: 'position',
      from: follower.id,
      to,
      text: `has everything below ${endOffset}, the last of epoch ${lastEpoch}`,
      deliver: () => {
        if (stream !== this.#streams.get(`${follower.id}>${to}`)) return;
        const leader = this.#brokers.get(to);
        leader?.take(() => leader.step({ kind: 'position', position }));
      },
    });
  }

  pump(leader: StageBroker): void {
    for (const follower of this.#brokers.values())
      if (follower !== leader) this.#push(leader, follower);
  }

  /** One batch a message, so that each can be seen. */
  #push(leader: StageBroker, follower: StageBroker): void {
    const stream = this.#streams.get(`${follower.id}>${leader.id}`);
    if (stream === undefined || leader.partition === null || stream.pushes >= PUSHES_MAX) return;
    const window = leader.partition.pushWindow(follower.id);
    if (window === null) return;
    const { from, upTo, highWaterMark, leaderEpoch, logStartOffset } = window;
    const header = from < upTo ? leader.disk.at(from) : undefined;
    leader.partition.pushed(
      follower.id,
      header === undefined ? from : endOf(header),
      highWaterMark,
    );
    const headers = header === undefined ? [] : [header];
    stream.pushes += 1;
    this.#network.send({
      kind: header === undefined ? 'mark' : 'frames',
      from: leader.id,
      to: follower.id,
      text: header === undefined ? `mark ${highWaterMark}` : `batch ${from}, mark ${highWaterMark}`,
      cell: header === undefined ? null : cellOf(header, true, this.#nameOf),
      deliver: () => {
        stream.pushes -= 1;
        if (stream !== this.#streams.get(`${follower.id}>${leader.id}`)) return;
        const marks = { leaderEpoch, highWaterMark, logStartOffset };
        follower.take(() => follower.step({ kind: 'frames', from: leader.id, ...marks, headers }));
        this.#push(leader, follower);
      },
    });
    this.#push(leader, follower);
  }
}
