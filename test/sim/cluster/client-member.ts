/**
 * A program that is a member of a group by the client library: `tidemark.group()` as programs have
 * it. It handles some records at a time, some of them slowly, and is killed, stalls, closes and
 * comes back as chance has it.
 */
import type { Random } from '../../../base/random.ts';
import { Cluster } from '../../../client/cluster.ts';
import { Connections } from '../../../client/connections.ts';
import { type GroupConsumer, Tidemark, TidemarkError } from '../../../client/index.ts';
import { SimChannel } from '../kit/sim-channel.ts';
import { SimProcess } from '../kit/sim-process.ts';
import type { Ground } from './ground.ts';
import { addressOf } from './sim-broker.ts';

const SESSION_MS = 6_000;
const STALL_MS_MAX = 12_000;
const AGAIN_MS_MAX = 8_000;
const HANDLERS = 4;

export interface ClientMemberParts {
  readonly ground: Ground;
  readonly random: Random;
  readonly brokers: number;
  readonly group: string;
  readonly topic: string;
  readonly instanceId: string;
  /** Pause between what chance does to it. */
  readonly meanTurnMs: number;
  readonly onHandled: (partition: number, offset: number) => void;
}

export class ClientMember {
  readonly name: string;
  readonly #parts: ClientMemberParts;
  #process: SimProcess | null = null;
  #member: GroupConsumer | null = null;
  #lives = 0;
  #isCalm = false;

  constructor(name: string, parts: ClientMemberParts) {
    this.name = name;
    this.#parts = parts;
  }

  start(): void {
    this.#begin();
    this.#turn();
  }

  /** Nothing happens to it any more but what happens to its brokers. */
  calm(): void {
    this.#isCalm = true;
  }

  #begin(): void {
    const { ground, random, brokers, group, topic, instanceId } = this.#parts;
    this.#lives += 1;
    const process = new SimProcess(`${this.name}.${this.#lives}`, ground.time, {
      wallMs: () => ground.wallMs(),
      onThrow: (error) => {
        ground.fail(`${this.name} threw: ${error instanceof Error ? String(error.stack) : ''}`);
      },
    });
    const connections = new Connections({
      clock: process.clock,
      random: () => random.below(1_000_000) / 1_000_000,
      dial: (address) => new SimChannel(ground.network, process, process.name, address).channel,
    });
    const servers = Array.from({ length: brokers }, (_, index) => addressOf(index + 1));
    const member = new Tidemark(connections, new Cluster(connections, servers)).group(group, {
      topics: [topic],
      client: this.name,
      sessionMs: SESSION_MS,
      graceMs: random.pick([0, 1_000]),
      releaseMs: random.pick([1_000, 3_000]),
      commitMs: 100,
      ...(instanceId === '' ? {} : { instanceId, returnMs: random.pick([0, 5_000]) }),
    });
    this.#process = process;
    this.#member = member;
    void this.#read(process, member);
  }

  async #read(process: SimProcess, member: GroupConsumer): Promise<void> {
    const { ground, random, onHandled } = this.#parts;
    let ended = 'in order';
    try {
      await member.run(
        async ({ partition, offset }) => {
          const lastsMs = random.chance(0.01) ? random.below(5_000) : random.below(30);
          await new Promise<void>((resolve) => process.after(lastsMs, resolve));
          ground.note(`${this.name} handled ${partition}/${offset}`);
          onHandled(partition, offset);
        },
        { concurrency: HANDLERS, order: random.pick(['key', 'partition', 'none']) },
      );
    } catch (error) {
      ended = error instanceof TidemarkError ? error.code : String(error);
      // What a program would have to hear of: a cursor was lost, or something is wrong here.
      if (!COMES_BACK.has(ended)) ground.fail(`${this.name} ended with ${String(error)}`);
    }
    ground.note(`${this.name} ended: ${ended}`);
    if (this.#member === member) this.#again(process);
  }

  #again(process: SimProcess): void {
    const { ground, random } = this.#parts;
    this.#member = null;
    ground.network.reset(process);
    process.kill();
    ground.time.after(1 + random.below(AGAIN_MS_MAX), () => this.#begin());
  }

  #turn(): void {
    const { ground, random, meanTurnMs } = this.#parts;
    ground.time.after(1 + random.below(2 * meanTurnMs), () => {
      if (!this.#isCalm) this.#act();
      this.#turn();
    });
  }

  #act(): void {
    const { ground, random } = this.#parts;
    const process = this.#process;
    const member = this.#member;
    if (process === null || member === null) return;
    const draw = random.below(10);
    if (draw < 3) {
      ground.note(`${this.name} is killed`);
      this.#again(process);
    } else if (draw < 5) process.stall(random.below(STALL_MS_MAX));
    else if (draw < 8) process.after(0, () => void member.close());
  }
}

/** Whoever has its place, or nobody who answers: a supervisor starts it again. */
const COMES_BACK: ReadonlySet<string> = new Set([
  'FENCED',
  'REFUSED',
  'TIMED_OUT',
  'UNKNOWN_TOPIC',
  'UNREACHABLE',
]);
