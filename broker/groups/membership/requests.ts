/**
 * Judges what members and administrators ask, before it is looked at: values come from other
 * processes (docs/rules.md#groups).
 */
import { BrokerError } from '../../../base/errors.ts';
import {
  GROUP_RETURN_MS_MAX,
  GROUP_SESSION_MS_MAX,
  GROUP_TOPICS_MAX,
  NAME_LENGTH_MAX,
  PARTITIONS_PER_TOPIC_MAX,
} from '../../../base/limits.ts';
import { nameFault } from '../../../base/names.ts';
import {
  ASSIGNOR_NAMES,
  GROUP_TYPES,
  type GroupRequest,
  type JoinRequest,
  type SeekRequest,
} from './types.ts';

/** With the largest batch beside them they fit the limit of a batch, 1 MiB, as do 2,000 cursors. */
const RIDERS_CHARACTERS_MAX = 384 * 1024;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Why a request is refused whatever the state, or null. INVALID_ARGUMENT names all faults. */
export function requestFault(request: GroupRequest, brokerSessionMs: number): BrokerError | null {
  const faults = [nameFault('group', request.group), ...ownFaults(request, brokerSessionMs)].filter(
    (fault) => fault !== null,
  );
  return faults.length === 0 ? null : new BrokerError('INVALID_ARGUMENT', faults.join('; '));
}

/** What is wrong with the name of a topic or the beginning of names, or null. */
export function subscriptionFault(field: string, topic: string): string | null {
  if (topic === '*') return null;
  const isBeginning = topic.endsWith('*') && topic.length <= NAME_LENGTH_MAX;
  const fault = nameFault(field, isBeginning ? topic.slice(0, -1) : topic);
  // A beginning may be what no name is, "." and "..".
  return isBeginning && /^[.]{1,2}[*]$/.test(topic) ? null : fault;
}

function ownFaults(request: GroupRequest, brokerSessionMs: number): (string | null)[] {
  switch (request.kind) {
    case 'join':
      return joinFaults(request, brokerSessionMs);
    case 'leave':
      return [
        memberIdFault(request.memberId),
        numberFault('attachment', request.attachment, 1, Number.MAX_SAFE_INTEGER),
      ];
    case 'touch':
    case 'delete':
      return [oneOfFault('type', request.type, GROUP_TYPES)];
    case 'seek':
      return seekFaults(request);
  }
}

function seekFaults({ partitions, riders }: SeekRequest): (string | null)[] {
  const characters = riders.reduce(
    (sum, { key, value }) => sum + key.length + (value?.length ?? 0),
    0,
  );
  return [
    numberFault('number of partitions', partitions.length, 0, PARTITIONS_PER_TOPIC_MAX),
    numberFault('number of riders', riders.length, 0, PARTITIONS_PER_TOPIC_MAX),
    numberFault('characters of riders', characters, 0, RIDERS_CHARACTERS_MAX),
  ];
}

function joinFaults(join: JoinRequest, brokerSessionMs: number): (string | null)[] {
  const isStatic = join.instanceId !== '';
  return [
    memberIdFault(join.memberId),
    join.formerId === '' ? null : memberIdFault(join.formerId, 'formerId'),
    numberFault('attempt', join.attempt, 1, Number.MAX_SAFE_INTEGER),
    isStatic ? nameFault('instanceId', join.instanceId) : null,
    lengthFault('rack', join.rack),
    lengthFault('client', join.client),
    join.topics.length >= 1 && join.topics.length <= GROUP_TOPICS_MAX
      ? null
      : `topics has ${String(join.topics.length)} names, must have 1 to ${String(GROUP_TOPICS_MAX)}`,
    ...join.topics.slice(0, GROUP_TOPICS_MAX).map((topic) => subscriptionFault('topics', topic)),
    join.assignor === '' ? null : oneOfFault('assignor', join.assignor, ASSIGNOR_NAMES),
    sessionFault(join.sessionMs, brokerSessionMs),
    numberFault('graceMs', join.graceMs, 0, GROUP_SESSION_MS_MAX),
    numberFault('returnMs', join.returnMs, 0, GROUP_RETURN_MS_MAX),
    isStatic || join.returnMs === 0
      ? null
      : `returnMs is ${String(join.returnMs)}, must be 0 without an instanceId`,
    numberFault('epoch', join.epoch, 0, Number.MAX_SAFE_INTEGER),
  ];
}

/**
 * A coordinator that the controller hears no more serves for a broker's session at most, and its
 * successor begins all sessions anew. A member's is longer, so that it outlives such a change.
 */
function sessionFault(sessionMs: number, brokerSessionMs: number): string | null {
  const least = 2 * brokerSessionMs;
  const fault = numberFault('sessionMs', sessionMs, least, GROUP_SESSION_MS_MAX);
  return fault === null || sessionMs >= least
    ? fault
    : `${fault} (twice the session of a broker at least)`;
}

function memberIdFault(memberId: string, field = 'memberId'): string | null {
  return UUID.test(memberId)
    ? null
    : `${field} is "${memberId.slice(0, 50)}", must be a UUID of 36 characters in lower case`;
}

function lengthFault(field: string, text: string): string | null {
  return text.length <= NAME_LENGTH_MAX
    ? null
    : `${field} has ${String(text.length)} characters, must have at most ${String(NAME_LENGTH_MAX)}`;
}

function numberFault(field: string, value: number, least: number, most: number): string | null {
  return Number.isSafeInteger(value) && value >= least && value <= most
    ? null
    : `${field} is ${String(value)}, must be a whole number from ${String(least)} to ${String(most)}`;
}

function oneOfFault(field: string, value: string, allowed: readonly string[]): string | null {
  return allowed.includes(value)
    ? null
    : `${field} is "${value.slice(0, 50)}", must be one of ${allowed.join(', ')}`;
}
