/**
 * Groups of members that read while the cluster is struck, and what their rules promise of them:
 * every acknowledged record reaches each group, nobody commits after the next holder has, and no
 * view goes back (docs/rules.md#groups).
 */
import type { Random } from '../../../base/random.ts';
import type { ConsumeRecords } from '../../../proto/gen/tidemark/v1/consume.ts';
import type { Ground } from './ground.ts';
import type { History } from './history.ts';
import { ClientMember } from './client-member.ts';
import { type Commit, MemberProcess } from './member-process.ts';

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

interface Told extends Commit {
  readonly member: string;
  readonly answeredMs: number;
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

  /** Nothing more happens to them. */
  calm(): void {
    for (const client of this.#clients) client.calm();
    for (const process of this.#processes) process.calm();
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
    for (const [key, told] of this.#commits)
      faults.push(...checkOrder(key, told), ...checkHolders(key, told));
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

/** In one epoch a partition has one holder. */
function checkHolders(key: string, told: readonly Told[]): string[] {
  const holders = new Map<number, string>();
  const faults: string[] = [];
  for (const { epoch, member } of told) {
    const holder = holders.get(epoch) ?? member;
    holders.set(epoch, holder);
    if (holder !== member)
      faults.push(`${key}: ${holder} and ${member} committed by epoch ${epoch}`);
  }
  return faults;
}

function checkOrder(key: string, told: readonly Told[]): string[] {
  const answered = told.toSorted((one, other) => one.answeredMs - other.answeredMs);
  const asked = told.toSorted((one, other) => one.askedMs - other.askedMs);
  const faults: string[] = [];
  let next = 0;
  let newest: Told | null = null;
  for (const commit of asked) {
    for (; (answered[next]?.answeredMs ?? Infinity) < commit.askedMs; next += 1) {
      const before = answered[next]!;
      if (newest === null || before.epoch > newest.epoch) newest = before;
    }
    if (newest !== null && commit.epoch < newest.epoch)
      faults.push(
        `${key}: ${commit.member} committed by epoch ${commit.epoch} at ${commit.askedMs}, ${newest.member} had by ${newest.epoch} at ${newest.answeredMs}`,
      );
  }
  return faults;
}
