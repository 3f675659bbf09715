/**
 * Programs that commit, seek and fetch cursors of a few groups by plain calls to any broker, some
 * of them for the same cursor at a time. What they are told goes into the history.
 */
import type { Random } from '../../../base/random.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { Tidemark } from '../../../client/index.ts';
import { type CursorOutcome, GroupServiceService } from '../../../proto/gen/tidemark/v1/groups.ts';
import { topicIdToBytes } from '../../../wire/batch/frame.ts';
import { callUnary } from '../../../wire/grpc/calls.ts';
import { errorFromMessage } from '../../../wire/grpc/errors.ts';
import { SimChannel } from '../kit/sim-channel.ts';
import type { SimProcess } from '../kit/sim-process.ts';
import type { Ground } from './ground.ts';
import type { CursorEvent, History } from './history.ts';
import { addressOf } from './sim-broker.ts';
import type { SimTopic } from './topics.ts';

/** Programs of one group. */
const PROGRAMS = 2;
const DEADLINES_MS = [200, 1_000, 5_000] as const;
const FINAL_DEADLINE_MS = 10_000;

export interface CommittersParts {
  readonly ground: Ground;
  readonly history: History;
  readonly random: Random;
  readonly topic: SimTopic;
  readonly topicId: () => string | null;
  readonly brokers: number;
  readonly meanPauseMs: number;
  readonly client: (host: string) => { readonly tidemark: Tidemark; readonly process: SimProcess };
}

export class Committers {
  readonly #parts: CommittersParts;
  readonly #groups: string[] = [];
  readonly #channels = new Map<string, SimChannel>();
  #isOn = true;
  #last = 0;

  constructor(parts: CommittersParts) {
    this.#parts = parts;
  }

  start(count: number): void {
    for (let at = 0; at < count; at += 1) {
      const group = `group-${at}`;
      this.#groups.push(group);
      for (let program = 0; program < PROGRAMS; program += 1)
        this.#run(group, `${group}.${program}`).catch((error: unknown) => {
          this.#parts.ground.fail(`${group}.${program} failed with ${String(error)}`);
        });
    }
  }

  /** Nothing new is asked; what is under way comes to its end. */
  stop(): void {
    this.#isOn = false;
  }

  /** Fetches every cursor once more. Rejects while one cannot be. */
  async readAll(): Promise<void> {
    if (this.#groups.length === 0) return;
    const { process } = this.#parts.client('cursors-reader');
    for (const group of this.#groups) await this.#fetch(group, process, FINAL_DEADLINE_MS);
  }

  async #run(group: string, host: string): Promise<void> {
    const { ground, history, random: all, topic, client, meanPauseMs } = this.#parts;
    const random = all.fork(host);
    const { process } = client(host);
    while (this.#isOn) {
      const deadlineMs = random.pick(DEADLINES_MS);
      const draw = random.below(20);
      const partition = random.below(topic.partitions);
      const call =
        draw === 0
          ? this.#seek(group, process, { partition, offset: random.below(10), deadlineMs })
          : draw < 5
            ? this.#fetch(group, process, deadlineMs)
            : this.#commit(group, process, { partition, offset: this.#offset(random), deadlineMs });
      try {
        await history.follow(`cursors of ${host}`, ground.time.nowMs, call);
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        ground.note(`${host} ${error.code} ${error.message.slice(0, 120)}`);
      }
      const pauseMs = 1 + random.below(2 * meanPauseMs);
      await new Promise<void>((resolve) => process.after(pauseMs, resolve));
    }
  }

  /** Mostly above all before, sometimes below. */
  #offset(random: Random): number {
    if (random.chance(0.1)) return random.below(this.#last + 1);
    this.#last += 1 + random.below(5);
    return this.#last;
  }

  async #commit(group: string, process: SimProcess, ask: Ask): Promise<void> {
    const topicId = this.#parts.topicId();
    if (topicId === null) throw new BrokerError('UNKNOWN_TOPIC', 'no broker runs');
    const { topic } = this.#parts;
    const cursor = {
      topic: topic.name,
      topicId: Buffer.from(topicIdToBytes(topicId)),
      partition: ask.partition,
      offset: ask.offset,
      leaderEpoch: 0,
      generation: 0,
    };
    const askedMs = this.#asked(group, ask);
    const { outcomes } = await callUnary(
      this.#channel(process),
      GroupServiceService.commitCursors,
      { group, cursors: [cursor], member: undefined },
      { deadlineMs: ask.deadlineMs, clock: process.clock },
    );
    const [outcome] = outcomes;
    if (outcome?.error !== undefined) throw errorFromMessage(outcome.error);
    this.#told(group, 'commit', askedMs, outcome?.cursor ?? null);
  }

  /** A seek asks the leaders of the topic; its range is that of the log, so it may be refused. */
  async #seek(group: string, process: SimProcess, ask: Ask): Promise<void> {
    const askedMs = this.#asked(group, ask);
    const request = {
      group,
      topic: this.#parts.topic.name,
      partitions: [ask.partition],
      to: { point: { $case: 'offset' as const, value: ask.offset } },
      dryRun: false,
    };
    const { outcomes } = await callUnary(
      this.#channel(process),
      GroupServiceService.seekGroup,
      request,
      { deadlineMs: ask.deadlineMs, clock: process.clock },
    );
    const [outcome] = outcomes;
    if (outcome?.error !== undefined) throw errorFromMessage(outcome.error);
    if (outcome?.after === undefined) throw new BrokerError('INTERNAL', 'a seek has no outcome');
    this.#told(group, 'seek', askedMs, outcome.after);
  }

  async #fetch(group: string, process: SimProcess, deadlineMs: number): Promise<void> {
    const { ground, topic } = this.#parts;
    const askedMs = ground.time.nowMs;
    const { cursors } = await callUnary(
      this.#channel(process),
      GroupServiceService.fetchCursors,
      { group, topics: [{ topic: topic.name, partitions: [] }] },
      { deadlineMs, clock: process.clock },
    );
    const failed = cursors.find(({ error }) => error !== undefined);
    if (failed?.error !== undefined) throw errorFromMessage(failed.error);
    for (let partition = 0; partition < topic.partitions; partition += 1) {
      const found = cursors.find(({ cursor }) => cursor?.partition === partition);
      this.#toldOf(group, partition, 'fetch', askedMs, found?.cursor ?? null);
    }
  }

  #asked(group: string, { partition, offset }: Ask): number {
    const key = `${group}/${partition}`;
    const asked = this.#parts.history.askedCursors.get(key) ?? new Set();
    this.#parts.history.askedCursors.set(key, asked.add(offset));
    return this.#parts.ground.time.nowMs;
  }

  #told(
    group: string,
    kind: CursorEvent['kind'],
    askedMs: number,
    cursor: NonNullable<CursorOutcome['cursor']> | null,
  ): void {
    this.#toldOf(group, cursor?.partition ?? -1, kind, askedMs, cursor);
  }

  #toldOf(
    group: string,
    partition: number,
    kind: CursorEvent['kind'],
    askedMs: number,
    cursor: CursorOutcome['cursor'] | null,
  ): void {
    const { ground, history } = this.#parts;
    const key = `${group}/${partition}`;
    const told =
      cursor === undefined || cursor === null
        ? null
        : { generation: cursor.generation, offset: cursor.offset };
    if (told !== null && history.askedCursors.get(key)?.has(told.offset) !== true)
      ground.fail(`cursor ${key} is at ${told.offset}, which nobody asked for`);
    const answeredMs = ground.time.nowMs;
    history.cursors.push({ key, kind, askedMs, answeredMs, cursor: told });
    ground.note(`${kind} ${key} told ${JSON.stringify(told)}`);
  }

  #channel(process: SimProcess) {
    const { ground, random, brokers } = this.#parts;
    const address = addressOf(1 + random.below(brokers));
    const key = `${process.name} ${address}`;
    const found =
      this.#channels.get(key) ?? new SimChannel(ground.network, process, process.name, address);
    this.#channels.set(key, found);
    return found.channel;
  }
}

interface Ask {
  readonly partition: number;
  readonly offset: number;
  readonly deadlineMs: number;
}
