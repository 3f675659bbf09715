/**
 * One checker for each thing that groups promise (docs/rules.md#groups). They read the committed
 * records by themselves, as JSON, and look at nothing of the core but what leaves it.
 */
import type {
  MemberMessage,
  MembershipBatch,
  StoredRecord,
} from '../../../broker/groups/membership/types.ts';
import type { CommitClaim } from '../../../broker/groups/membership/verdict.ts';
import type { Process } from './processes.ts';

/** Records that a batch may have: 500, and what the last request adds. */
const BATCH_RECORDS_MAX = 510;

interface LoggedGroup {
  readonly epoch: number;
  readonly attachments: number;
}

interface LoggedMember {
  readonly instanceId: string;
  readonly attachment: number;
  readonly attempt: number;
  readonly isAway: boolean;
  readonly epoch: number;
  readonly topics: readonly string[];
  readonly target: Set<string>;
  /** Partitions with the epoch in which each was given. */
  readonly held: Map<string, number>;
  readonly revoked: Map<string, number>;
  readonly proxy: number;
}

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

export class Checks {
  readonly groups = new Map<string, LoggedGroup>();
  readonly members = new Map<string, Map<string, LoggedMember>>();
  /** What each view was, by group, member and epoch. A group that was deleted begins anew. */
  readonly #views = new Map<string, string[]>();
  /** Whose attachment each number of a group is. */
  readonly #attachments = new Map<string, string>();
  #generation = 0;

  /** A committed batch. */
  onCommitted(records: readonly StoredRecord[], isSeek: boolean): void {
    must(records.length <= BATCH_RECORDS_MAX, `a batch has ${String(records.length)} records`);
    for (const { key, value } of records) {
      const [kind, group = '', memberId = ''] = JSON.parse(key) as string[];
      if (kind === 'group') this.#onGroup(group, value);
      if (kind === 'member') this.#onMember(group, memberId, value, isSeek);
      if (kind === 'member' || kind === 'group') this.#oneHolder(group);
    }
  }

  membersOf(group: string): ReadonlyMap<string, LoggedMember> {
    return this.members.get(group) ?? new Map<string, LoggedMember>();
  }

  /** Nothing leaves but what is committed, and only of a coordinator that is heard. */
  onMessage(message: MemberMessage, isHeard: boolean): void {
    must(isHeard, 'a coordinator that is not heard tells members something');
    if (message.kind !== 'view') return;
    const { group, memberId, view } = message;
    this.onView(group, memberId, view.epoch, [...view.assigned, ...view.revoked]);
  }

  onView(
    group: string,
    memberId: string,
    epoch: number,
    partitions: readonly { topicId: string; partition: number; epoch: number }[],
  ): void {
    const text = textOf(
      new Map(partitions.map((each) => [`${each.topicId}/${String(each.partition)}`, each.epoch])),
    );
    const logged = this.#views.get(`${group} ${memberId} ${String(epoch)}`) ?? [];
    must(
      logged.includes(text),
      `member ${memberId} is told ${text} in epoch ${String(epoch)}, committed is ${logged.join('; ')}`,
    );
  }

  onBatch(batch: MembershipBatch | null, isHeard: boolean): void {
    must(batch === null || isHeard, 'a coordinator that is not heard proposes');
  }

  /** A commit that the present coordinator took. */
  onAccepted(claim: CommitClaim): void {
    const { group, topicId, partition, memberId, attachment, epoch } = claim;
    const members = this.membersOf(group);
    const key = `${topicId}/${String(partition)}`;
    if (memberId === '') {
      must(members.size === 0, `a reader commits for ${key} of ${group}, which has members`);
      return;
    }
    const member = members.get(memberId);
    const given = member?.held.get(key) ?? member?.revoked.get(key);
    must(
      given !== undefined && member?.attachment === attachment,
      `member ${memberId} commits for ${key}, which it does not hold any more`,
    );
    must(
      epoch >= (given ?? Infinity) && epoch <= (member?.epoch ?? 0),
      `member ${memberId} commits for ${key} of epoch ${String(epoch)}, was given it in ${String(given)}`,
    );
  }

  /** At each moment a partition is delivered to one process at most. */
  afterStep(processes: readonly Process[], nowMs: number): void {
    const readers = new Map<string, Process>();
    for (const process of processes) {
      if (!process.isDelivering(nowMs)) continue;
      // Whose place another process took is told; until then it may still be served.
      if (process.instanceId !== '' && !this.membersOf(process.group).has(process.memberId))
        continue;
      for (const key of process.reading.keys()) {
        const name = `${process.group} ${key}`;
        const other = readers.get(name);
        must(
          other === undefined,
          `${name} is delivered to ${other?.memberId ?? ''} and ${process.memberId}`,
        );
        readers.set(name, process);
      }
    }
  }

  /** When the world is calm: everything is read, by those who shall. */
  atEnd(
    processes: readonly Process[],
    partitionsOf: (topics: readonly string[]) => readonly string[],
    nowMs: number,
  ): void {
    const groups = new Map<string, Process[]>();
    for (const process of processes) {
      if (!process.isAlive) continue;
      must(process.isDelivering(nowMs), `process ${process.memberId} is served by nobody`);
      groups.set(process.group, [...(groups.get(process.group) ?? []), process]);
    }
    for (const [group, members] of this.members) {
      const living = groups.get(group) ?? [];
      const strangers = [...members.keys()].filter(
        (id) => !living.some(({ memberId }) => memberId === id),
      );
      must(strangers.length === 0, `group ${group} still has ${strangers.join()}`);
    }
    for (const [group, living] of groups) {
      const wanted = new Set(living.flatMap(({ topics }) => partitionsOf(topics)));
      const read = living.flatMap(({ reading }) => [...reading.keys()]);
      must(
        read.length === wanted.size && read.every((key) => wanted.has(key)),
        `group ${group} reads ${read.toSorted().join()}, subscribed are ${[...wanted].toSorted().join()}`,
      );
      for (const process of living)
        must(
          [...process.reading.keys()].every((key) => partitionsOf(process.topics).includes(key)),
          `process ${process.memberId} reads what it does not subscribe to`,
        );
      const loads = living.map(({ reading }) => reading.size);
      if (new Set(living.map(({ topics }) => topics.join())).size === 1)
        must(
          Math.max(...loads) - Math.min(...loads) <= 1,
          `members of ${group} have ${loads.join()} partitions`,
        );
    }
  }

  #onGroup(group: string, value: string | null): void {
    const before = this.groups.get(group);
    if (value === null) {
      must(this.membersOf(group).size === 0, `group ${group} is removed with members`);
      this.groups.delete(group);
      this.members.delete(group);
      this.#generation += 1;
      return;
    }
    const { epoch, attachments } = JSON.parse(value) as LoggedGroup;
    must(epoch >= (before?.epoch ?? 0), `the epoch of ${group} falls to ${String(epoch)}`);
    must(attachments >= (before?.attachments ?? 0), `attachments of ${group} fall`);
    this.groups.set(group, { epoch, attachments });
    if (before === undefined) this.members.set(group, new Map());
  }

  #onMember(group: string, memberId: string, value: string | null, isSeek: boolean): void {
    const members = this.members.get(group);
    if (members === undefined) throw new Error(`a member of ${group}, which is not there`);
    const before = members.get(memberId);
    if (value === null) {
      members.delete(memberId);
      return;
    }
    const after = memberIn(value);
    members.set(memberId, after);
    const name = `${group} ${memberId} ${String(after.epoch)}`;
    const text = textOf(new Map([...after.held, ...after.revoked]));
    must(after.epoch >= (before?.epoch ?? 0), `the epoch of ${memberId} falls`);
    if (before?.epoch === after.epoch)
      must(this.#views.get(name)?.at(-1) === text, `two views of ${memberId} have one epoch`);
    this.#views.set(name, [...(this.#views.get(name) ?? []), text]);
    const groupEpoch = this.groups.get(group)?.epoch ?? 0;
    for (const [key, epoch] of after.held)
      must(epoch <= groupEpoch, `${key} is given in epoch ${String(epoch)}, which is to come`);
    this.#ownAttachment(group, memberId, after);
    if (before !== undefined && !after.isAway && !isSeek) uninterrupted(memberId, before, after);
  }

  #ownAttachment(group: string, memberId: string, { attachment, attempt }: LoggedMember): void {
    const name = `${String(this.#generation)} ${group} ${String(attachment)}`;
    const owner = `${memberId} ${String(attempt)}`;
    must((this.#attachments.get(name) ?? owner) === owner, `attachment ${name} has two owners`);
    this.#attachments.set(name, owner);
  }

  /** Held and in revocation, of all members. */
  #oneHolder(group: string): void {
    const holders = new Map<string, string>();
    const instances = new Set<string>();
    for (const [memberId, { held, revoked, instanceId }] of this.membersOf(group)) {
      must(instanceId === '' || !instances.has(instanceId), `${instanceId} has two members`);
      instances.add(instanceId);
      for (const key of [...held.keys(), ...revoked.keys()]) {
        const other = holders.get(key);
        must(other === undefined, `${key} of ${group} is ${String(other)}'s and ${memberId}'s`);
        holders.set(key, memberId);
      }
    }
  }
}

/** Who keeps a partition is not interrupted: it is not taken, nor given anew. */
function uninterrupted(memberId: string, before: LoggedMember, after: LoggedMember): void {
  for (const [key, epoch] of before.held)
    if (before.target.has(key) && after.target.has(key))
      must(
        after.held.get(key) === epoch,
        `member ${memberId} is interrupted in ${key}, which it keeps`,
      );
}

function memberIn(text: string): LoggedMember {
  const value = JSON.parse(text) as Omit<LoggedMember, 'target' | 'held' | 'revoked'> & {
    readonly target: Record<string, string>;
    readonly held: Record<string, Record<string, string>>;
    readonly revoked: Record<string, Record<string, string>>;
  };
  const given = (sets: Record<string, Record<string, string>>): Map<string, number> =>
    new Map(
      Object.entries(sets).flatMap(([epochs, ranges]) =>
        keysIn(ranges).map((key): [string, number] => [key, Number(epochs.split(',')[0])]),
      ),
    );
  return {
    ...value,
    target: new Set(keysIn(value.target)),
    held: given(value.held),
    revoked: given(value.revoked),
  };
}

function keysIn(ranges: Record<string, string>): string[] {
  return Object.entries(ranges).flatMap(([topicId, text]) =>
    text.split(',').flatMap((range) => {
      const [from = 0, to = from] = range.split('-').map(Number);
      return Array.from({ length: to - from + 1 }, (_, at) => `${topicId}/${String(from + at)}`);
    }),
  );
}

function textOf(partitions: ReadonlyMap<string, number>): string {
  return [...partitions]
    .map(([key, epoch]) => `${key}:${String(epoch)}`)
    .toSorted()
    .join(' ');
}
