/**
 * LogAccess: which rules of access its brokers should have. What is wanted is what LogAccess
 * resources ask for and their LogCluster consents to, right by right: principal, resource and
 * operation. What brokers note as given so (`given` of a rule) and nobody wants is taken back; what
 * a person granted is never touched. No ledger of its own: statuses are written and never read. One
 * pass sees all resources of a LogCluster, so what two want stays while one of them does.
 *
 * A tenant is told what of its own wishes is not consented to, and of a LogCluster that does not
 * consent to its namespace not even whether it is there.
 */
import {
  type AccessOperation,
  type AccessRule,
  placeKey,
  resourceText,
  ruleFaults,
  sortedOperations,
} from '../../base/access.ts';
import type {
  AccessConsent,
  ConditionStatus,
  LogAccess,
  LogAccessRule,
  LogAccessStatus,
  LogCluster,
} from '../api/types.ts';
import { isSameStatus, withConditions } from './conditions.ts';
import type { KubeEventReason } from './events.ts';
import { counted, listed } from './service.ts';
import type { Action, EventNote, LogAccessView } from './types.ts';

/** Level at which brokers note what LogAccess gave. */
export const LEVEL_OF_GIVEN = 10;
/** LogAccess resources of one namespace that are looked at; others are told. */
export const LOG_ACCESSES_PER_NAMESPACE_MAX = 100;
/** Changes carried out in one pass, and statuses written. */
export const CHANGES_PER_PASS_MAX = 200;
export const STATUSES_PER_PASS_MAX = 100;

/** Rules as the brokers have them. */
export interface AccessKnown {
  readonly featureLevel: number;
  readonly rules: readonly AccessRule[];
}

/** What a pass over the LogAccess resources of one LogCluster sees. */
export interface AccessObservation {
  /** Null: there is none. */
  readonly cluster: Pick<LogCluster, 'metadata' | 'spec'> | null;
  /** `namespace/name`, whether there is one or not. */
  readonly clusterName: string;
  /** What is wrong with its spec: what it consents to is not known then. */
  readonly faults: readonly string[];
  /** Null: no broker answers as controller. */
  readonly known: AccessKnown | null;
  /** All that name this LogCluster. */
  readonly resources: readonly LogAccessView[];
}

export type AccessChange = Extract<Action, { kind: 'grant-access' | 'revoke-access' }>;

export interface AccessPlan {
  /** Revocations first. */
  readonly changes: readonly AccessChange[];
  /** Where there is something new to be said. */
  readonly statuses: readonly AccessReport[];
  /** There is more to do than one pass does. */
  readonly isCut: boolean;
}

/** What is to be said of one LogAccess. */
export interface AccessReport {
  readonly resource: LogAccess;
  readonly status: LogAccessStatus;
  readonly events: readonly EventNote[];
}

interface Verdict {
  readonly ready: ConditionStatus;
  readonly reason: string;
  readonly message: string;
  /** What is wanted and consented to. */
  readonly rights: readonly AccessRule[];
}

/** Reasons of Ready for which a person has to do something, and the events that tell them. */
export const ACCESS_WARNINGS: Readonly<Record<string, KubeEventReason>> = {
  InvalidSpec: 'AccessInvalid',
  NotConsented: 'AccessNotConsented',
  TooManyRules: 'AccessNotConsented',
  AccessRefused: 'AccessRefused',
  BrokersTooOld: 'AccessRefused',
};

/** @param refused what brokers said of granting these places, by their keys */
export function planAccess(
  observation: AccessObservation,
  nowMs: number,
  refused: ReadonlyMap<string, string> = new Map(),
): AccessPlan {
  const verdicts = judgeAll(observation);
  const wanted = union([
    ...verdicts.flatMap(({ verdict }) => verdict.rights),
    ...heldRights(observation, verdicts),
  ]);
  const changes = canChange(observation) ? changesOf(observation.known?.rules ?? [], wanted) : [];
  const due = verdicts.flatMap(
    ({ resource, verdict }) =>
      reportOf(observation, resource, withProgress(observation, verdict, refused), nowMs) ?? [],
  );
  return {
    changes: changes.slice(0, CHANGES_PER_PASS_MAX),
    statuses: due.slice(0, STATUSES_PER_PASS_MAX),
    isCut: changes.length > CHANGES_PER_PASS_MAX || due.length > STATUSES_PER_PASS_MAX,
  };
}

/** Whether rules may be changed: else they stay, and what is wanted is not known. */
function canChange({ cluster, faults, known }: AccessObservation): boolean {
  return (
    cluster !== null &&
    faults.length === 0 &&
    cluster.spec.paused !== 'All' &&
    known !== null &&
    known.featureLevel >= LEVEL_OF_GIVEN
  );
}

function changesOf(
  rules: readonly AccessRule[],
  wanted: ReadonlyMap<string, AccessRule>,
): AccessChange[] {
  const present = new Map(rules.map((rule) => [placeKey(rule), rule]));
  const without = (
    operations: readonly AccessOperation[],
    those: readonly AccessOperation[] = [],
  ): AccessOperation[] => operations.filter((each) => !those.includes(each));
  const revoked = rules.flatMap((rule): AccessChange[] => {
    const operations = without(rule.given ?? [], wanted.get(placeKey(rule))?.operations);
    const { principal, kind: of, name } = rule;
    const place = { principal, kind: of, name };
    return operations.length === 0
      ? []
      : [{ kind: 'revoke-access', rule: { ...place, operations } }];
  });
  const granted = [...wanted].flatMap(([key, rule]): AccessChange[] => {
    const operations = without(rule.operations, present.get(key)?.operations);
    return operations.length === 0 ? [] : [{ kind: 'grant-access', rule: { ...rule, operations } }];
  });
  return [...revoked, ...granted];
}

/**
 * What a LogAccess wants that this operator cannot read, as one that a newer operator took, is not
 * known. So what its namespace was given stays, as far as that is consented to still.
 */
function heldRights(
  { cluster, known }: AccessObservation,
  verdicts: ReturnType<typeof judgeAll>,
): AccessRule[] {
  const unread = verdicts.filter(({ verdict }) => verdict.reason === 'InvalidSpec');
  const namespaces = new Set(unread.map(({ resource }) => resource.metadata.namespace));
  const consents = [...namespaces].map((name) => [name, consentsTo(cluster, name)] as const);
  return (known?.rules ?? []).flatMap(({ principal, kind, name, given = [] }) => {
    if (kind === 'cluster') return [];
    const operations = given.filter((operation) =>
      consents.some(([namespace, those]) =>
        those.some(
          (consent) =>
            covers(consent, { resource: kind, name }, operation) &&
            isFor(consent, namespace, principal),
        ),
      ),
    );
    return operations.length === 0 ? [] : [{ principal, kind, name, operations }];
  });
}

/** Oldest first: who was there before keeps its rules where there is room for no more. */
function judgeAll(
  observation: AccessObservation,
): readonly { readonly resource: LogAccess; readonly verdict: Verdict }[] {
  const places = new Map<string, { count: number; readonly keys: Set<string> }>();
  const rank = ({ metadata }: LogAccess): string =>
    `${metadata.creationTimestamp ?? ''} ${metadata.namespace}/${metadata.name}`;
  return observation.resources
    .toSorted((left, right) => (rank(left.resource) < rank(right.resource) ? -1 : 1))
    .filter(({ resource }) => resource.metadata.deletionTimestamp === undefined)
    .map((view) => {
      const { namespace } = view.resource.metadata;
      const taken = places.get(namespace) ?? { count: 0, keys: new Set() };
      places.set(namespace, taken);
      taken.count += 1;
      if (taken.count > LOG_ACCESSES_PER_NAMESPACE_MAX) {
        const message = `namespace ${namespace} has more than ${LOG_ACCESSES_PER_NAMESPACE_MAX} LogAccess for this LogCluster, and this is none of the oldest: give more principals or rules to one`;
        return { resource: view.resource, verdict: refusal('TooManyRules', message) };
      }
      return { resource: view.resource, verdict: judge(observation, view, taken.keys) };
    });
}

/** @param taken places of the same namespace's other resources, to which its own are added */
function judge(
  { cluster, clusterName, faults }: AccessObservation,
  { resource, faults: ownFaults }: LogAccessView,
  taken: Set<string>,
): Verdict {
  const { namespace } = resource.metadata;
  if (ownFaults.length > 0) return refusal('InvalidSpec', ownFaults.join('; '));
  if (cluster !== null && faults.length > 0)
    return refusal(
      'ClusterInvalid',
      `the spec of LogCluster ${clusterName} is at fault`,
      'Unknown',
    );
  const consents = consentsTo(cluster, namespace);
  if (consents.length === 0)
    return refusal(
      'NotConsented',
      `LogCluster ${clusterName} is not there, or its spec.access does not name namespace ${namespace}`,
    );
  const { rights, faults: wrong, denied } = rightsOf(resource, consents);
  if (wrong.length > 0) return refusal('InvalidSpec', wrong.join('; '));
  const rulesMax = Math.max(...consents.map((consent) => consent.rulesMax));
  const kept = rights.filter((rule) => {
    const key = placeKey(rule);
    if (!taken.has(key) && taken.size >= rulesMax) return false;
    taken.add(key);
    return true;
  });
  const missing = rights.length - kept.length;
  if (missing > 0) {
    const message = `${counted(missing, 'rule')} too many: LogCluster ${clusterName} lets LogAccess of namespace ${namespace} take ${rulesMax}`;
    return { ...refusal('TooManyRules', message), rights: kept };
  }
  if (denied.length > 0)
    return {
      ...refusal('NotConsented', `LogCluster ${clusterName} does not consent to ${listed(denied)}`),
      rights,
    };
  return { ready: 'True', reason: 'Granted', message: '', rights };
}

function consentsTo(
  cluster: AccessObservation['cluster'],
  namespace: string,
): readonly AccessConsent[] {
  return (cluster?.spec.access ?? []).filter(({ namespaces }) =>
    namespaces.some((each) => each === '*' || each === namespace),
  );
}

function refusal(reason: string, message: string, ready: ConditionStatus = 'False'): Verdict {
  return { ready, reason, message, rights: [] };
}

/** What it asks for and may have, one rule for each place, and what it may not have, in words. */
function rightsOf(
  { metadata: { namespace }, spec }: LogAccess,
  consents: readonly AccessConsent[],
): {
  readonly rights: readonly AccessRule[];
  readonly faults: readonly string[];
  readonly denied: readonly string[];
} {
  const principals = [
    ...(spec.serviceAccounts ?? []).map((name) => `${accountsOf(namespace)}${name}`),
    ...(spec.principals ?? []),
  ];
  const wishes = spec.rules.flatMap((rule) =>
    rule.operations.map((operation) => ({
      place: { kind: rule.resource, name: rule.name },
      operation,
      allowing: consents.filter((consent) => covers(consent, rule, operation)),
    })),
  );
  const asked: AccessRule[] = [];
  const denied = new Set<string>();
  for (const { place, operation, allowing } of wishes) {
    for (const principal of principals) {
      if (allowing.some((consent) => isFor(consent, namespace, principal)))
        asked.push({ principal, ...place, operations: [operation] });
      else denied.add(`${operation} of ${resourceText(place)} for ${principal}`);
    }
  }
  const rights = [...union(asked).values()];
  const faults = new Set(rights.flatMap(ruleFaults));
  return { rights: faults.size > 0 ? [] : rights, faults: [...faults], denied: [...denied] };
}

const PATTERNS_OF = { topic: 'topics', group: 'groups', producer: 'producers' } as const;

/** The colon ends the namespace: what is given in `team-a` is never of `team-ab`. */
function accountsOf(namespace: string): string {
  return `system:serviceaccount:${namespace}:`;
}

/** Accounts of the namespace itself need no word: those of others cannot be named at all. */
function isFor({ principals = [] }: AccessConsent, namespace: string, principal: string): boolean {
  return (
    principal.startsWith(accountsOf(namespace)) ||
    principals.some((pattern) => isWithin(principal, pattern))
  );
}

function covers(
  consent: AccessConsent,
  { resource, name }: Pick<LogAccessRule, 'resource' | 'name'>,
  operation: AccessOperation,
): boolean {
  const patterns = consent[PATTERNS_OF[resource]] ?? [];
  return (
    consent.operations.includes(operation) && patterns.some((pattern) => isWithin(name, pattern))
  );
}

/** Whether all that `wanted` stands for, itself or what begins so, is what `pattern` stands for. */
function isWithin(wanted: string, pattern: string): boolean {
  return pattern.endsWith('*') ? wanted.startsWith(pattern.slice(0, -1)) : wanted === pattern;
}

function union(rules: readonly AccessRule[]): ReadonlyMap<string, AccessRule> {
  const places = new Map<string, AccessRule>();
  for (const rule of rules) {
    const key = placeKey(rule);
    const operations = [...(places.get(key)?.operations ?? []), ...rule.operations];
    places.set(key, { ...rule, operations: sortedOperations(operations) });
  }
  return places;
}

/** What brokers have of it, and what keeps the rest. */
function withProgress(
  observation: AccessObservation,
  verdict: Verdict,
  refused: ReadonlyMap<string, string>,
): Verdict & { readonly present: number } {
  const { cluster, clusterName, known } = observation;
  const present = presentOf(verdict.rights, known);
  const not = (reason: string, message: string, ready: ConditionStatus = 'False') => ({
    ...verdict,
    ready,
    reason,
    message,
    present,
  });
  if (verdict.rights.length === 0) return { ...verdict, present };
  if (cluster?.spec.paused === 'All')
    return not('Paused', `LogCluster ${clusterName} is paused`, 'Unknown');
  if (known === null)
    return not('ClusterUnreachable', `waiting for LogCluster ${clusterName} to answer`, 'Unknown');
  if (known.featureLevel < LEVEL_OF_GIVEN)
    return not(
      'BrokersTooOld',
      `LogCluster ${clusterName} is at feature level ${known.featureLevel}, must be at ${LEVEL_OF_GIVEN} or above: roll its brokers to a newer image`,
    );
  const missing = verdict.rights.length - present;
  if (missing === 0)
    return verdict.ready === 'True'
      ? { ...verdict, message: `${counted(present, 'rule')} granted`, present }
      : { ...verdict, present };
  const said = verdict.rights.flatMap((rule) => refused.get(placeKey(rule)) ?? []);
  if (said[0] !== undefined) return not('AccessRefused', said[0]);
  return verdict.ready === 'True'
    ? not('Granting', `granting ${counted(missing, 'rule')}`)
    : { ...verdict, present };
}

function presentOf(rights: readonly AccessRule[], known: AccessKnown | null): number {
  if (known === null || rights.length === 0) return 0;
  const rules = new Map(known.rules.map((rule) => [placeKey(rule), rule.operations]));
  return rights.filter((rule) => {
    const operations = rules.get(placeKey(rule)) ?? [];
    return rule.operations.every((each) => operations.includes(each));
  }).length;
}

function reportOf(
  observation: AccessObservation,
  resource: LogAccess,
  verdict: Verdict & { readonly present: number },
  nowMs: number,
): AccessReport | null {
  const { metadata, status = {} } = resource;
  const { cluster } = observation;
  const { ready, reason, message, rights, present } = verdict;
  const isPaused = cluster?.spec.paused === 'All';
  const conditions = withConditions(status.conditions ?? [], metadata.generation, nowMs, [
    { type: 'Ready', status: ready, reason, message },
    {
      type: 'Progressing',
      status: reason === 'Granting' ? 'True' : 'False',
      reason,
      message,
    },
    enforced(observation, resource, rights.length > 0),
    {
      type: 'ReconciliationPaused',
      status: isPaused && rights.length > 0 ? 'True' : 'False',
      reason: isPaused && rights.length > 0 ? 'Paused' : 'NotPaused',
      message:
        isPaused && rights.length > 0 ? 'the LogCluster is paused' : 'changes are carried out',
    },
  ]);
  // Nothing of the old status is kept: whoever wrote something else into it is overwritten.
  const next: LogAccessStatus = {
    observedGeneration: metadata.generation,
    conditions,
    rules: present,
  };
  const before = status.conditions?.find(({ type }) => type === 'Ready');
  const isNew = before?.reason !== reason || before.message !== conditions[0]?.message;
  const warning = ACCESS_WARNINGS[reason];
  const events: EventNote[] =
    !isNew || (warning === undefined && reason !== 'Granted')
      ? []
      : [{ reason: warning ?? 'AccessGranted', note: message }];
  return isSameStatus(status, next) ? null : { resource, status: next, events };
}

/** Do its rules count? Told only to a namespace that the LogCluster consents to something. */
function enforced({ cluster }: AccessObservation, { spec }: LogAccess, isConsented: boolean) {
  const condition = (status: ConditionStatus, reason: string, message: string) =>
    ({ type: 'Enforced', status, reason, message }) as const;
  if (cluster === null || !isConsented)
    return condition('Unknown', 'NothingGranted', 'nothing is granted');
  const { methods } = cluster.spec.auth;
  if (methods === undefined)
    return condition(
      'False',
      'NobodyIsAsked',
      'brokers ask no client who it is (spec.auth.methods of the LogCluster is absent): whoever reaches them may do everything',
    );
  if (spec.serviceAccounts !== undefined && !methods.includes('oidc'))
    return condition(
      'False',
      'AccountsUnknown',
      'brokers take no tokens of accounts (spec.auth.methods of the LogCluster has no oidc): nobody comes in as a ServiceAccount',
    );
  return condition('True', 'ClientsAreAsked', 'what no rule allows is denied');
}
