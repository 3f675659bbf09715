/**
 * Raft messages to one peer: one Exchange stream, opened with the first message and again after it
 * broke. Best effort: raft repeats what matters, so at the bound the oldest message goes.
 */
import { type ClientDuplexStream, Metadata, status as Status } from '@grpc/grpc-js';

import {
  type ExchangeRequest,
  type ExchangeResponse,
  QuorumServiceService,
} from '../../proto/gen/tidemark/internal/v1/quorum.ts';
import type { Clock } from '../../base/clock.ts';
import type { BrokerId } from '../../base/units.ts';
import type { Channel } from '../../wire/grpc/channel.ts';
import type { Link, Presence } from './presence.ts';
import { type Exchange, exchangeToMessage } from '../messages/raft-codec.ts';

/**
 * Messages and, in UTF-16 units of their entries, volume that may wait: a snapshot chunk is up to 1
 * MiB, and several may be under way.
 */
const QUEUED_MESSAGES_MAX = 512;
const QUEUED_UNITS_MAX = 16 * 1024 * 1024;
/** Pause between attempts: as long as the channel's own first backoff. */
const REOPEN_MS_MIN = 50;

const EXCHANGE = QuorumServiceService.exchange;

type Stream = ClientDuplexStream<ExchangeRequest, ExchangeResponse>;

export class RaftLink {
  readonly #brokerId: BrokerId;
  readonly #presence: Presence;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #dial: () => Channel | null;
  readonly #queue: { readonly exchange: Exchange; readonly units: number }[] = [];
  #queuedUnits = 0;
  #stream: Stream | null = null;
  #link: Link | null = null;
  #isFull = false;
  #openedMs = Number.NEGATIVE_INFINITY;

  constructor(
    brokerId: BrokerId,
    presence: Presence,
    clock: Pick<Clock, 'monotonicMs'>,
    dial: () => Channel | null,
  ) {
    this.#clock = clock;
    this.#brokerId = brokerId;
    this.#presence = presence;
    this.#dial = dial;
  }

  send(exchange: Exchange): void {
    const units = unitsOf(exchange);
    this.#queue.push({ exchange, units });
    this.#queuedUnits += units;
    while (
      this.#queue.length > QUEUED_MESSAGES_MAX ||
      (this.#queuedUnits > QUEUED_UNITS_MAX && this.#queue.length > 1)
    ) {
      this.#queuedUnits -= this.#queue.shift()?.units ?? 0;
    }
    if (this.#stream === null) this.#open();
    this.#flush();
  }

  /** Ends the stream; a later message opens another. */
  close(): void {
    const stream = this.#stream;
    this.#presence.ended(this.#link);
    this.#forget();
    stream?.end();
  }

  #open(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#openedMs < REOPEN_MS_MIN) return;
    const client = this.#dial();
    if (client === null) return;
    this.#openedMs = nowMs;
    const stream: Stream = client.makeBidiStreamRequest(
      EXCHANGE.path,
      EXCHANGE.requestSerialize,
      EXCHANGE.responseDeserialize,
      new Metadata(),
    );
    this.#stream = stream;
    stream.on('metadata', () => {
      if (this.#stream === stream) this.#link = this.#presence.established(this.#brokerId);
    });
    stream.on('drain', () => {
      if (this.#stream !== stream) return;
      this.#isFull = false;
      this.#flush();
    });
    stream.on('data', () => undefined);
    // Every end has a status; the error event repeats it.
    stream.on('error', () => undefined);
    stream.on('status', ({ code }) => {
      if (this.#stream !== stream) return;
      const link = this.#link;
      this.#forget();
      if (code === Status.OK) this.#presence.ended(link);
      else this.#presence.lost(link);
    });
  }

  #flush(): void {
    while (this.#stream !== null && !this.#isFull) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      this.#queuedUnits -= next.units;
      this.#isFull = !this.#stream.write(exchangeToMessage(next.exchange));
    }
  }

  /**
   * What was queued for a connection that is gone is stale: the peer may be another incarnation
   * when it returns.
   */
  #forget(): void {
    this.#stream = null;
    this.#link = null;
    this.#isFull = false;
    this.#queue.length = 0;
    this.#queuedUnits = 0;
  }
}

function unitsOf({ message }: Exchange): number {
  if (message.kind === 'snapshot') return message.chunk.length;
  if (message.kind !== 'append') return 0;
  return message.entries.reduce((units, { data }) => units + data.length, 0);
}
