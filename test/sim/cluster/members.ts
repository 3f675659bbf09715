/**
 * Groups of members that read while the cluster is struck, and what their rules promise of them:
 * every acknowledged record reaches each group, nobody commits after the next holder has, and no
 * view goes back (docs/rules.md#groups).
 */
import type { Random } from '../../../base/random.ts';
import type { ConsumeRecords } from '../../../proto/gen/tidemark/v1/consume.ts';
import type { GroupDescription } from '../../../broker/groups/membership/views.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { Ground } from './ground.ts';
import type { History } from './history.ts';
import { ClientMember } from './client-member.ts';
import { checkCommits, type Told } from './member-checker.ts';
import { type Commit, MemberProcess } from './member-process.ts';
import type { SimBroker } from './sim-broker.ts';

const MEMBERS = 3;
/** One more process that has the instance id of another now and then. */
const DOUBLES = 1;
/** Those that are members by the client library: they read from leaders. */
const CLIENTS = 2;

export interface MembersParts {
  readonly ground: Ground;
  readonly history: History;
  readonly random: Random;
  /** Read by all; none of its records is retired, or lost. */
  readonly topic: string;
  /** Beginnings and names beside. */
  readonly topics: readonly string[];
  readonly brokers: number;
  readonly meanTurnMs: number;
}

export class Members {
  readonly #parts: MembersParts;
  readonly #processes: MemberProcess[] = [];
  readonly #clients: ClientMember[] = [];
  readonly #groups: string[] = [];
  /** By group, what was delivered of the topic: partition and offset. */
  readonly #delivered = new Map<string, Set<string>>();
  readonly #commits = new Map<string, Told[]>();
  delivered = 0;
  /** Of these, by members by the client library. */
  handledByClients = 0;
  /** Partitions that members kept through a roll. */
  heldOn = 0;

  constructor(parts: MembersParts) {
    this.#parts = parts;
  }

  start(groups: number): void {
    const { ground, random, topic, topics, brokers, meanTurnMs } = this.#parts;
    for (let at = 0; at < groups; at += 1) {
      const group = `readers-${at}`;
      this.#groups.push(group);
      this.#delivered.set(group, new Set());
      for (let index = 0; index < MEMBERS + DOUBLES; index += 1) {
        const place = index < MEMBERS ? index : 1;
        const name = `${group}.${index}`;
        const process = new MemberProcess(name, {
          ...{ ground, brokers, group, meanTurnMs, random: random.fork(name) },
          topics: [topic, ...topics],
          instanceId: place === 0 ? '' : `place-${place}`,
          onRecords: (member, records) => {
            this.#onRecords(group, member, records);
          },
          onCommitted: (member, commit) => {
            this.#onCommitted(group, member, commit);
          },
        });
        this.#processes.push(process);
        process.start();
      }
      for (let index = 0; index < CLIENTS; index += 1) this.#startClient(group, index);
    }
  }

  #startClient(group: string, index: number): void {
    const { ground, random, topic, brokers, meanTurnMs } = this.#parts;
    const name = `${group}.client-${index}`;
    const client = new ClientMember(name, {
      ...{ ground, brokers, group, topic, meanTurnMs, random: random.fork(name) },
      instanceId: index === 0 ? '' : 'client-place',
      onHandled: (partition, offset) => {
        this.#delivered.get(group)?.add(`${partition}/${offset}`);
        this.delivered += 1;
        this.handledByClients += 1;
      },
    });
    this.#clients.push(client);
    client.start();
  }

  /** Nothing more happens to them, and places have one process each. */
  calm(): void {
    for (const client of this.#clients) client.calm();
    for (const [at, process] of this.#processes.entries())
      if (at % (MEMBERS + DOUBLES) < MEMBERS) process.calm();
      else process.retire();
  }

  /** Which member has which partition, and since which epoch, as coordinators say. */
  holdings(brokers: readonly SimBroker[]): ReadonlyMap<string, string> {
    const found = new Map<string, string>();
    for (const group of this.#groups)
      for (const { memberId, view } of describedBy(brokers, group)?.members ?? [])
        for (const { topicId, partition, epoch } of view.assigned)
          found.set(`${group} ${topicId}/${partition}`, `${memberId} since epoch ${epoch}`);
    return found;
  }

  /** Whether a coordinator answers for each group. */
  isAnswered(brokers: readonly SimBroker[]): boolean {
    return this.#groups.every((group) => describedBy(brokers, group) !== null);
  }

  checkUnmoved(before: ReadonlyMap<string, string>, brokers: readonly SimBroker[]): string[] {
    const after = this.holdings(brokers);
    this.heldOn = after.size;
    return [...before].flatMap(([key, holder]) =>
      after.get(key) === holder ? [] : [`${key} went from ${holder} to ${String(after.get(key))}`],
    );
  }

  get commits(): number {
    return [...this.#commits.values()].reduce((sum, told) => sum + told.length, 0);
  }

  /** Acknowledged records that did not reach a group yet. */
  missing(): string[] {
    const { history, topic } = this.#parts;
    return this.#groups.flatMap((group) =>
      history.sent.flatMap(({ value, topic: name, fate }) => {
        if (name !== topic || fate?.kind !== 'acknowledged') return [];
        const key = `${fate.partition}/${fate.offset}`;
        if (this.#delivered.get(group)?.has(key) === true) return [];
        return [`${value} at ${topic}/${key} did not reach group ${group}`];
      }),
    );
  }

  /**
   * Epochs of a partition rise with its holders: who was given it before another one commits
   * nothing that is asked after the other's commit was answered.
   */
  check(): string[] {
    const faults = this.missing().slice(0, 10);
    for (const [key, told] of this.#commits) faults.push(...checkCommits(key, told));
    return faults;
  }

  #onRecords(group: string, member: MemberProcess, records: ConsumeRecords): void {
    const { ground, topic: kept } = this.#parts;
    const { topic, partition, epoch } = records;
    ground.note(
      `${member.name} got ${topic}/${partition} ${records.records.map(({ offset }) => offset).join()} by ${epoch}`,
    );
    if (topic !== kept) return;
    const delivered = this.#delivered.get(group);
    for (const { offset } of records.records) delivered?.add(`${partition}/${offset}`);
    this.delivered += records.records.length;
  }

  #onCommitted(group: string, member: MemberProcess, commit: Commit): void {
    const key = `${group} ${commit.topic}/${commit.partition}`;
    const told = this.#commits.get(key) ?? [];
    const answeredMs = this.#parts.ground.time.nowMs;
    told.push({ ...commit, member: member.memberId, answeredMs });
    this.#commits.set(key, told);
  }
}

/** By the broker that coordinates the group; null: none does at the moment, or nobody joined. */
function describedBy(brokers: readonly SimBroker[], group: string): GroupDescription | null {
  for (const { broker } of brokers)
    try {
      const described = broker?.groups().describe(group) ?? null;
      if (described !== null) return described;
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
    }
  return null;
}
