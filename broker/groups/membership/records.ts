/**
 * Text of the records of this part, keys `["group",name]` and `["member",group,memberId]`. What is
 * read back is checked before it is believed; a field or version that this build does not know
 * stops it, since skipping it would let replicas drift apart. Equal values give equal texts.
 */
import {
  boolean,
  type Check,
  count,
  listOf,
  mapOf,
  oneOf,
  parseJson,
  refuseValue,
  shape,
  string,
} from '../../../base/shape.ts';
import type { PartitionKey } from '../../../base/units.ts';
import { keysIn, rangesOf } from './partition-sets.ts';
import type { GroupValue, MembershipImage, MembershipRecord, MemberValue } from './image.ts';
import type { Revocation } from './image.ts';
import { ASSIGNOR_NAMES, GROUP_TYPES, type StoredRecord } from './types.ts';

/** Version of the values. */
const VERSION = 1;

/** The stored form of a record. */
export function writeMembership(record: MembershipRecord): StoredRecord {
  const { group } = record;
  if (record.kind === 'group')
    return {
      key: JSON.stringify(['group', group]),
      value: record.value === null ? null : JSON.stringify(writtenGroup(record.value)),
    };
  return {
    key: JSON.stringify(['member', group, record.memberId]),
    value: record.value === null ? null : JSON.stringify(writtenMember(record.value)),
  };
}

/**
 * Reads a record of kind `group` or `member`. Throws BrokerError DATA_CORRUPT for another kind, and
 * for whatever is malformed or of a newer build.
 *
 * @param key the parsed key: a list of texts
 */
export function readMembership(key: readonly unknown[], value: string | null): MembershipRecord {
  const [kind, group, memberId] = listOf(string)(key, 'key');
  if (kind === 'group' && group !== undefined && key.length === 2)
    return {
      kind,
      group,
      value: value === null ? null : groupValue(parseJson(value, 'a group'), 'group'),
    };
  if (kind === 'member' && group !== undefined && memberId !== undefined && key.length === 3)
    return {
      kind,
      group,
      memberId,
      value: value === null ? null : memberValue(parseJson(value, 'a member'), 'member'),
    };
  return refuseValue('key', key, '["group", name] or ["member", group, id]');
}

/** All of an image as records, groups before their members: for a snapshot, and to compare. */
export function membershipRecords(image: MembershipImage): StoredRecord[] {
  const byName = <T>([a]: [string, T], [b]: [string, T]): number => (a < b ? -1 : 1);
  return [...image.groups]
    .toSorted(byName)
    .flatMap(([group, { value, members }]) => [
      writeMembership({ kind: 'group', group, value }),
      ...[...members]
        .toSorted(byName)
        .map(([memberId, member]) =>
          writeMembership({ kind: 'member', group, memberId, value: member }),
        ),
    ]);
}

/** Builds of before kept when a group was last used without members, and ask for the field. */
function writtenGroup(value: GroupValue): object {
  return { v: VERSION, ...value, emptySinceMs: null };
}

function writtenMember({ target, held, revoked, ...rest }: MemberValue): object {
  const epochs = (key: PartitionKey): string => {
    const { epoch, sinceEpoch } = revoked.get(key)!;
    return `${epoch},${sinceEpoch}`;
  };
  return {
    v: VERSION,
    ...rest,
    target: Object.fromEntries(rangesOf(target)),
    held: byEpochs(held.keys(), (key) => String(held.get(key))),
    revoked: byEpochs(revoked.keys(), epochs),
  };
}

/** `{ "<epochs>": { topicId: ranges } }`. */
function byEpochs(
  keys: Iterable<PartitionKey>,
  epochsOf: (key: PartitionKey) => string,
): Record<string, Record<string, string>> {
  const sets = Map.groupBy(keys, epochsOf);
  return Object.fromEntries(
    [...sets]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([epochs, set]) => [epochs, Object.fromEntries(rangesOf(set))]),
  );
}

const groupFields = shape<GroupValue & { v: number; emptySinceMs: number | null }>({
  v: oneOf([VERSION]),
  type: oneOf(GROUP_TYPES),
  epoch: count,
  attachments: count,
  assignor: oneOf(ASSIGNOR_NAMES),
  changeEpoch: count,
  targetEpoch: count,
  metadataIndex: count,
  emptySinceMs: (value, path) => (value === null ? null : count(value, path)),
});

function groupValue(value: unknown, path: string): GroupValue {
  const { v: _, emptySinceMs: __, ...group } = groupFields(value, path);
  return group;
}

const targetField: Check<ReadonlySet<PartitionKey>> = (value, path) =>
  new Set(
    [...mapOf(string)(value, path)].flatMap(([topicId, text]) =>
      keysIn(topicId, text, `${path}.${topicId}`),
    ),
  );

/** Sets under so many epochs each. */
function epochsField(numbers: number): Check<ReadonlyMap<PartitionKey, readonly number[]>> {
  return (value, path) => {
    const found = new Map<PartitionKey, readonly number[]>();
    for (const [text, sets] of mapOf(targetField)(value, path)) {
      const epochs = text.split(',').map(Number);
      if (epochs.length !== numbers || epochs.join(',') !== text)
        refuseValue(path, text, `${numbers} whole numbers`);
      for (const epoch of epochs) count(epoch, `${path}.${text}`);
      for (const key of sets) {
        if (found.has(key)) refuseValue(path, key, 'named once');
        found.set(key, epochs);
      }
    }
    return found;
  };
}

const heldField: Check<ReadonlyMap<PartitionKey, number>> = (value, path) =>
  new Map([...epochsField(1)(value, path)].map(([key, [epoch = 0]]) => [key, epoch]));

const revokedField: Check<ReadonlyMap<PartitionKey, Revocation>> = (value, path) =>
  new Map(
    [...epochsField(2)(value, path)].map(([key, [epoch = 0, sinceEpoch = 0]]) => [
      key,
      { epoch, sinceEpoch },
    ]),
  );

const memberFields = shape<MemberValue & { v: number }>({
  v: oneOf([VERSION]),
  instanceId: string,
  rack: string,
  client: string,
  topics: listOf(string),
  sessionMs: count,
  graceMs: count,
  returnMs: count,
  attempt: count,
  proxy: count,
  attachment: count,
  isAway: boolean,
  epoch: count,
  target: targetField,
  held: heldField,
  revoked: revokedField,
});

function memberValue(value: unknown, path: string): MemberValue {
  const { v: _, ...member } = memberFields(value, path);
  const both = [...member.revoked.keys()].find((key) => member.held.has(key));
  return both === undefined ? member : refuseValue(`${path}.revoked`, both, 'not held as well');
}
