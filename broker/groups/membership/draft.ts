/**
 * What the next batch will change: values laid over those that are committed. It is filled until
 * it has as many records as one batch should; what did not fit is worked out again for the next.
 */
import type { GroupState, GroupValue, MembershipImage, MembershipRecord } from './image.ts';
import type { MemberValue } from './image.ts';
import type { FenceReason, GroupRequest, StoredRecord } from './types.ts';

/** Characters from which on a batch is full, by estimate: half of a common batch limit. */
const BATCH_CHARACTERS_MAX = 512 * 1024;
/** Of a member without topics and partitions. */
const MEMBER_CHARACTERS = 600;
const CHARACTERS_PER_PARTITION = 8;

interface GroupDraft {
  /** Null: removed. Undefined: not touched. */
  value: GroupValue | null | undefined;
  readonly members: Map<string, MemberValue | null>;
  /** Members more or less than committed. */
  added: number;
  hasEpoch: boolean;
}

export class Draft {
  readonly #image: MembershipImage;
  readonly #recordsMax: number;
  readonly #groups = new Map<string, GroupDraft>();
  readonly #riders: StoredRecord[] = [];
  /** Why a member's attachment ends with this batch: by group, then member. */
  readonly reasons = new Map<string, Map<string, FenceReason>>();
  #records = 0;
  #characters = 0;
  #addedGroups = 0;
  #addedMembers = 0;

  /** @param recordsMax from which on it is full; a request may add a few to that */
  constructor(image: MembershipImage, recordsMax: number) {
    this.#image = image;
    this.#recordsMax = recordsMax;
  }

  get isFull(): boolean {
    return this.#records >= this.#recordsMax || this.#characters >= BATCH_CHARACTERS_MAX;
  }

  get isEmpty(): boolean {
    return this.#records === 0;
  }

  /** Groups that there will be. */
  get groupCount(): number {
    return this.#image.groups.size + this.#addedGroups;
  }

  /** Members of all groups that there will be. */
  get memberCount(): number {
    return this.#image.members + this.#addedMembers;
  }

  /** Groups that it changes. */
  get changed(): IterableIterator<string> {
    return this.#groups.keys();
  }

  group(name: string): GroupValue | undefined {
    const value = this.#groups.get(name)?.value;
    return value === undefined ? this.committed(name)?.value : (value ?? undefined);
  }

  committed(name: string): GroupState | undefined {
    return this.#image.groups.get(name);
  }

  membersOf(name: string): number {
    return (this.committed(name)?.members.size ?? 0) + (this.#groups.get(name)?.added ?? 0);
  }

  member(group: string, memberId: string): MemberValue | undefined {
    const value = this.#groups.get(group)?.members.get(memberId);
    return value === undefined
      ? this.committed(group)?.members.get(memberId)
      : (value ?? undefined);
  }

  /** Ids of all members, those that join with this batch last. */
  memberIds(group: string): string[] {
    const committed = this.committed(group)?.members;
    const changed = this.#groups.get(group)?.members;
    const ids = committed === undefined ? [] : [...committed.keys()];
    if (changed === undefined) return ids;
    const isNew = ([id, value]: [string, MemberValue | null]): boolean =>
      value !== null && committed?.has(id) !== true;
    return [
      ...ids.filter((id) => changed.get(id) !== null),
      ...[...changed].filter(isNew).map(([id]) => id),
    ];
  }

  /** Member that has the instance id, or undefined. */
  instance(group: string, instanceId: string): string | undefined {
    for (const [id, value] of this.#groups.get(group)?.members ?? [])
      if (value?.instanceId === instanceId) return id;
    const id = this.committed(group)?.instances.get(instanceId);
    return id !== undefined && this.member(group, id) !== undefined ? id : undefined;
  }

  /** Whether the group of a request, or the member that joins, ends with this batch. */
  isEnding(request: GroupRequest): boolean {
    const { group } = request;
    if (this.#groups.get(group)?.value === null) return true;
    return request.kind === 'join' && this.reasons.get(group)?.has(request.memberId) === true;
  }

  isTouched(group: string, memberId: string): boolean {
    return this.#groups.get(group)?.members.has(memberId) === true;
  }

  putGroup(name: string, value: GroupValue | null): void {
    const before = this.group(name);
    const draft = this.#draftOf(name);
    if (draft.value === undefined) this.#count(0);
    draft.value = value;
    this.#addedGroups += (value === null ? 0 : 1) - (before === undefined ? 0 : 1);
  }

  putMember(group: string, memberId: string, value: MemberValue | null): void {
    const before = this.member(group, memberId);
    const draft = this.#draftOf(group);
    if (!draft.members.has(memberId)) this.#count(value === null ? 0 : charactersOf(value));
    draft.members.set(memberId, value);
    const added = (value === null ? 0 : 1) - (before === undefined ? 0 : 1);
    draft.added += added;
    this.#addedMembers += added;
  }

  /** The group's epoch of this batch; raises it at the first call. */
  epochOf(name: string): number {
    const value = this.group(name);
    if (value === undefined) return 0;
    const draft = this.#draftOf(name);
    if (draft.hasEpoch) return value.epoch;
    draft.hasEpoch = true;
    this.putGroup(name, { ...value, epoch: value.epoch + 1 });
    return value.epoch + 1;
  }

  /** Notes that another target is needed. */
  change(name: string): void {
    const epoch = this.epochOf(name);
    const value = this.group(name);
    if (value !== undefined) this.putGroup(name, { ...value, changeEpoch: epoch });
  }

  ride(records: readonly StoredRecord[]): void {
    for (const record of records) {
      this.#count(record.key.length + (record.value?.length ?? 0));
      this.#riders.push(record);
    }
  }

  get riders(): readonly StoredRecord[] {
    return this.#riders;
  }

  because(group: string, memberId: string, reason: FenceReason): void {
    let reasons = this.reasons.get(group);
    if (reasons === undefined) this.reasons.set(group, (reasons = new Map<string, FenceReason>()));
    reasons.set(memberId, reason);
  }

  /** A group stands before its members. */
  records(): MembershipRecord[] {
    return [...this.#groups].flatMap(([group, { value, members }]): MembershipRecord[] => [
      ...(value === undefined ? [] : [{ kind: 'group', group, value } as const]),
      ...[...members].map(
        ([memberId, member]) => ({ kind: 'member', group, memberId, value: member }) as const,
      ),
    ]);
  }

  #draftOf(name: string): GroupDraft {
    let draft = this.#groups.get(name);
    if (draft === undefined) {
      draft = { value: undefined, members: new Map(), added: 0, hasEpoch: false };
      this.#groups.set(name, draft);
    }
    return draft;
  }

  #count(characters: number): void {
    this.#records += 1;
    this.#characters += characters;
  }
}

function charactersOf({ topics, target, held, revoked }: MemberValue): number {
  return (
    MEMBER_CHARACTERS +
    topics.reduce((sum, topic) => sum + topic.length, 0) +
    (target.size + held.size + revoked.size) * CHARACTERS_PER_PARTITION
  );
}
