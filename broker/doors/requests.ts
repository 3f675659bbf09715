/** What a request needs, by the row of its method: operations on resources. */
import type { AccessOperation, AccessResource } from '../../base/access.ts';
import type { MethodAccess, Need } from '../access/methods.ts';
import type { Rights } from '../access/rules.ts';

const CLUSTER: AccessResource = { kind: 'cluster', name: '' };
const SHOWN_MAX = 3;

type Fields = Readonly<Record<string, unknown>>;

/** What a caller is judged by. */
export interface Judged {
  readonly rights: Rights;
  /** Name of the topic of a queue; undefined: no queue has this name. */
  readonly topicOfQueue: (queue: string) => string | undefined;
}

/** Why the caller may not make this call; null: it may. Streams are judged message by message. */
export function refusalOf(access: MethodAccess, request: unknown, by: Judged): string | null {
  const { operation, reach, also = [] } = access;
  for (const need of [{ operation, reach }, ...also]) {
    const refusal = refusalFor(need, request, by);
    if (refusal !== null) return refusal;
  }
  return null;
}

function refusalFor(
  { operation, reach }: Need,
  request: unknown,
  { rights, topicOfQueue }: Judged,
): string | null {
  const fields = (request ?? {}) as Fields;
  const judge = (what: AccessOperation, resource: AccessResource): string | null => {
    const verdict = rights.judge(what, resource);
    return verdict.isAllowed ? null : verdict.reason;
  };
  switch (reach.of) {
    case 'cluster':
      return judge(operation, CLUSTER);
    case 'name':
      return judge(operation, { kind: reach.kind, name: textIn(fields, reach.field) });
    case 'names': {
      const { kind } = reach;
      for (const name of new Set(namesIn(fields, reach.field, reach.name))) {
        const reason = judge(operation, { kind, name });
        if (reason !== null) return reason;
      }
      return null;
    }
    case 'own-name': {
      const name = textIn(fields, reach.field);
      if (name !== '') return judge(operation, { kind: reach.kind, name });
      return rights.mayAnywhere(operation, reach.for)
        ? null
        : `${rights.principal} may not ${operation} any ${reach.for}`;
    }
    case 'principal': {
      const whose = textIn(fields, reach.field);
      return whose === '' || whose === rights.principal ? null : judge(operation, CLUSTER);
    }
    case 'scaled-group':
      return judge(operation, { kind: 'group', name: scaledGroup(fields) });
    case 'queue-topic': {
      const topic = topicOfQueue(textIn(fields, reach.field));
      return topic === undefined ? null : judge(operation, { kind: 'topic', name: topic });
    }
    case 'dead-letters': {
      const topic = textIn((fields['config'] ?? {}) as Fields, 'deadLetterTopic');
      return topic === '' ? null : judge(operation, { kind: 'topic', name: topic });
    }
    case 'topic-ids':
    case 'nothing':
      return null;
    default:
      return 'this build knows no rule for the call';
  }
}

/** What a call is about, for the audit. */
export function subjectOf({ reach }: MethodAccess, request: unknown): string {
  const fields = (request ?? {}) as Fields;
  if (reach.of === 'name' || reach.of === 'own-name')
    return `${reach.kind}:${textIn(fields, reach.field)}`;
  if (reach.of === 'names')
    return namesIn(fields, reach.field, reach.name).slice(0, SHOWN_MAX).join();
  const { brokerId, topic, partition } = fields;
  const { principal, resource } = (fields['rule'] ?? fields['quota'] ?? fields) as Fields;
  const { name } = (resource ?? {}) as Fields;
  const parts = [
    typeof topic === 'string' ? `${topic}/${Number(partition)}` : '',
    typeof brokerId === 'number' ? `broker ${brokerId}` : '',
    typeof principal === 'string' ? principal : '',
    typeof name === 'string' ? name : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'cluster' : parts.join(' ');
}

function scaledGroup(fields: Fields): string {
  const object = (fields['scaledObjectRef'] ?? fields) as Fields;
  const metadata = (object['scalerMetadata'] ?? {}) as Fields;
  return textIn(metadata, 'queue') || textIn(metadata, 'group');
}

function textIn(fields: Fields, field: string): string {
  const value = fields[field];
  return typeof value === 'string' ? value : '';
}

/** @param name where each name stands in the messages of the field; undefined: they are names */
function namesIn(fields: Fields, field: string, name: string | undefined): readonly string[] {
  const value = fields[field];
  if (!Array.isArray(value)) return [];
  const names: readonly unknown[] =
    name === undefined ? value : value.map((each: Fields) => each[name]);
  return names.filter((each) => typeof each === 'string');
}
