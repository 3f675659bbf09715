/**
 * Messages that no honest replica would send: every field may hold anything that the wire can
 * carry.
 */
import type { Random } from '../../../../base/random.ts';
import type { Entry, MessageBody, Peer, RaftMessage } from '../../../../broker/raft/types.ts';

/** Numbers that protobuf and the generated decoders let through. */
const EXTREMES = [0, 1, 2, 2 ** 20, 2 ** 31, 2 ** 32, 2 ** 40, 2 ** 50, Number.MAX_SAFE_INTEGER];

/** What the receiver holds: hostile numbers are mostly near it, where they hurt. */
export interface Target {
  readonly term: number;
  readonly commitIndex: number;
  readonly lastIndex: number;
  readonly incarnation: number;
  readonly peers: readonly Peer[];
}

export const MESSAGE_KINDS = [
  'pre-vote',
  'pre-vote-reply',
  'vote',
  'vote-reply',
  'append',
  'append-accepted',
  'append-rejected',
  'snapshot',
  'snapshot-reply',
  'timeout-now',
  'follow',
  'follow-reply',
] as const satisfies readonly MessageBody['kind'][];

const TEXTS = ['', 'x', '[]', '{}', 'null', '[1]', '[{"brokerId":1}]', '\u{1f30a}'.repeat(40)];

export class Hostile {
  readonly #random: Random;
  readonly #target: Target;

  constructor(random: Random, target: Target) {
    this.#random = random;
    this.#target = target;
  }

  message(kind: MessageBody['kind'] = this.#random.pick(MESSAGE_KINDS)): RaftMessage {
    // An honest header lets the body through.
    const isHeaderHonest = this.#random.chance(0.7);
    const { term, incarnation } = this.#target;
    const header = isHeaderHonest
      ? { term: term + this.#random.below(2), incarnation: 1, toIncarnation: incarnation }
      : { term: this.#number(), incarnation: this.#number(), toIncarnation: this.#number() };
    return { ...header, ...this.#body(kind) };
  }

  peer(): Peer {
    return this.#random.chance(0.9)
      ? this.#random.pick(this.#target.peers)
      : { brokerId: this.#random.below(10), directoryId: this.#random.pick(['a', 'b', '']) };
  }

  #number(): number {
    const { term, commitIndex, lastIndex } = this.#target;
    if (this.#random.chance(0.3)) return this.#random.pick(EXTREMES);
    const near = this.#random.pick([term, commitIndex, lastIndex]) + this.#random.below(5) - 2;
    return Math.max(0, near);
  }

  #entries(): readonly Entry[] {
    let index = this.#number();
    let term = this.#number();
    return Array.from({ length: this.#random.below(4) }, () => {
      index = this.#random.chance(0.8) ? index + 1 : this.#number();
      term = this.#random.chance(0.8) ? term : this.#number();
      const kind = this.#random.pick(['data', 'voters', 'barrier'] as const);
      return { index, term, kind, data: this.#random.pick(TEXTS) };
    });
  }

  /** Follows on from where the receiver's log may be, which a wild guess seldom does. */
  #append(): MessageBody {
    const prevIndex = this.#number();
    const prevTerm = this.#number();
    const isContiguous = this.#random.chance(0.7);
    const entries = this.#entries().map((entry, position) =>
      isContiguous ? { ...entry, index: prevIndex + 1 + position } : entry,
    );
    return {
      kind: 'append',
      prevIndex,
      prevTerm,
      entries,
      commitIndex: this.#number(),
      round: this.#number(),
    };
  }

  #body(kind: MessageBody['kind']): MessageBody {
    const number = (): number => this.#number();
    const flag = (): boolean => this.#random.chance(0.5);
    const leader = this.#random.chance(0.5) ? this.peer() : null;
    switch (kind) {
      case 'pre-vote':
        return { kind, campaignTerm: number(), lastIndex: number(), lastTerm: number() };
      case 'pre-vote-reply':
        return { kind, campaignTerm: number(), isGranted: flag(), leader };
      case 'vote':
        return { kind, lastIndex: number(), lastTerm: number(), isTransfer: flag() };
      case 'vote-reply':
        return { kind, isGranted: flag() };
      case 'append':
        return this.#append();
      case 'append-accepted':
        return { kind, matchIndex: number(), round: number() };
      case 'append-rejected':
        return {
          kind,
          rejectedIndex: number(),
          hintIndex: number(),
          hintTerm: number(),
          lastIndex: number(),
          round: number(),
        };
      case 'snapshot':
        return {
          kind,
          snapshotIndex: number(),
          snapshotTerm: number(),
          voters: Array.from({ length: this.#random.below(4) }, () => this.peer()),
          offset: number(),
          total: number(),
          chunk: this.#random.pick(TEXTS),
        };
      case 'snapshot-reply':
        return { kind, snapshotIndex: number(), received: number() };
      case 'timeout-now':
        return { kind };
      case 'follow':
        return { kind, lastIndex: number(), lastTerm: number() };
      case 'follow-reply':
        return { kind, leader };
    }
  }
}
