/**
 * The table of LogAccess, and of what a LogCluster consents to: fields with bounds, defaults and
 * descriptions, and the rules between them. Pure. Names and patterns are plain ASCII, so that what
 * looks alike is the same.
 */
import { ACCESS_RESOURCES, type AccessOperation } from '../../base/access.ts';
import { ACCESS_RULES_MAX, NAME_LENGTH_MAX } from '../../base/limits.ts';
import { immutable } from './replication.ts';
import { choice, integer, list, object, text } from './schema.ts';
import type { Rule, Schema } from './schema.ts';
import type { AccessConsent, LogAccessRule, LogAccessSpec } from './types.ts';

/** Kinds of resources of which LogAccess may give rights: never of the cluster. */
export const GRANTABLE_KINDS = ['topic', 'group', 'producer'] as const;

const GRANTABLE_OPERATIONS = [
  ...new Set(GRANTABLE_KINDS.flatMap((kind): AccessOperation[] => [...ACCESS_RESOURCES[kind]])),
];
const NAMESPACE_LENGTH_MAX = 63;
const PRINCIPALS_MAX = 16;
const RULES_MAX = 16;
const CONSENTS_MAX = 64;
const PATTERNS_MAX = 32;
/** Rules of access that LogAccess of one namespace may take, where the consent does not say. */
const RULES_PER_NAMESPACE = 100;
/** A pattern is one character longer than the longest name that it may begin. */
const PATTERN_LENGTH_MAX = NAME_LENGTH_MAX + 1;
const PRINCIPAL_LENGTH_MAX = 512;

const NAME_PATTERN = {
  minLength: 1,
  pattern: '^[!-)+-~]*[*]?$',
  patternMeaning: 'printable ASCII characters without spaces, and without * but at the end',
};
/** Principals of accounts are given by the account's name alone, in its own namespace. */
const PRINCIPAL_PATTERN = {
  pattern: '^(cert|token|oidc):([^*]+[*]?|[*])$',
  patternMeaning: 'a principal that begins with cert:, token: or oidc:, with * at the end at most',
};

function operations(description: string): Schema {
  return list(
    description,
    choice('An operation.', GRANTABLE_OPERATIONS),
    GRANTABLE_OPERATIONS.length,
    {
      listType: 'set',
      minItems: 1,
    },
  );
}

const KNOWN_CEL = `{${GRANTABLE_KINDS.map(
  (kind) => `'${kind}': [${ACCESS_RESOURCES[kind].map((each) => `'${each}'`).join(', ')}]`,
).join(', ')}}[self.resource]`;

const operationsOfKind: Rule = {
  cel: `self.operations.all(operation, operation in ${KNOWN_CEL})`,
  message: 'operations has %s, must be of those that a %s knows',
  values: [`self.operations.filter(operation, !(operation in ${KNOWN_CEL}))[0]`, 'self.resource'],
  fieldPath: '.operations',
  check: ({ resource, operations: wanted }: LogAccessRule) => {
    const known: readonly AccessOperation[] = ACCESS_RESOURCES[resource];
    const wrong = wanted.find((operation) => !known.includes(operation));
    return wrong === undefined ? null : [wrong, resource];
  },
};

const ruleSchema = object<LogAccessRule>(
  'Lets the principals do operations to a resource.',
  {
    resource: choice('Kind of the resource.', GRANTABLE_KINDS),
    name: text(
      'Name of the topic, the group or the producer; with * at the end all that begin so.',
      PATTERN_LENGTH_MAX,
      NAME_PATTERN,
    ),
    operations: operations('What they may do. Whoever may do anything may describe.'),
  },
  { required: ['resource', 'name', 'operations'], rules: [operationsOfKind] },
);

const someoneIsNamed: Rule = {
  cel: 'has(self.serviceAccounts) || has(self.principals)',
  message: 'serviceAccounts is %s, must be given where principals is absent',
  values: ["'absent'"],
  fieldPath: '.serviceAccounts',
  check: ({ serviceAccounts, principals }: LogAccessSpec) =>
    (serviceAccounts ?? principals) === undefined ? ['absent'] : null,
};

export const logAccessSpecSchema: Schema = object<LogAccessSpec>(
  'Who may do what.',
  {
    clusterName: text('LogCluster. Immutable.', 63, { minLength: 1 }),
    clusterNamespace: text(
      "Namespace of the LogCluster. Absent: the LogAccess's own. Immutable.",
      NAMESPACE_LENGTH_MAX,
      { minLength: 1 },
    ),
    serviceAccounts: list(
      "Accounts of this LogAccess's own namespace, by their names; with * at the end all that begin so, and * alone all of them.",
      text('Name of a ServiceAccount.', 253, {
        minLength: 1,
        pattern: '^([a-z0-9]([-a-z0-9.]*[a-z0-9])?|[a-z0-9][-a-z0-9.]*[*]|[*])$',
        patternMeaning: 'the name of a ServiceAccount, or what it begins with and *',
      }),
      PRINCIPALS_MAX,
      { listType: 'set', minItems: 1 },
    ),
    principals: list(
      'Others, such as cert:CN=alice, where the LogCluster consents to them by name.',
      text('Principal.', PRINCIPAL_LENGTH_MAX, PRINCIPAL_PATTERN),
      PRINCIPALS_MAX,
      { listType: 'set', minItems: 1 },
    ),
    rules: list('What they may do.', ruleSchema, RULES_MAX, { minItems: 1 }),
  },
  {
    required: ['clusterName', 'rules'],
    rules: [someoneIsNamed, immutable('clusterName'), immutable('clusterNamespace')],
  },
);

const somethingIsNamed: Rule = {
  cel: 'has(self.topics) || has(self.groups) || has(self.producers)',
  message: 'topics is %s, must be given where groups and producers are absent',
  values: ["'absent'"],
  fieldPath: '.topics',
  check: ({ topics, groups, producers }: AccessConsent) =>
    (topics ?? groups ?? producers) === undefined ? ['absent'] : null,
};

function names(what: string): Schema {
  return list(
    `${what} of which rights may be given: exact names, or with * at the end all that begin so.`,
    text('Name, or what it begins with and *.', PATTERN_LENGTH_MAX, NAME_PATTERN),
    PATTERNS_MAX,
    { listType: 'set', minItems: 1 },
  );
}

const consentSchema = object<AccessConsent>(
  'What LogAccess resources of some namespaces may give.',
  {
    namespaces: list(
      'Their namespaces by name; * stands for every one.',
      text('Namespace.', NAMESPACE_LENGTH_MAX, {
        minLength: 1,
        pattern: '^([a-z0-9]([-a-z0-9]*[a-z0-9])?|[*])$',
        patternMeaning: 'the name of a namespace, or *',
      }),
      PATTERNS_MAX,
      { listType: 'set', minItems: 1 },
    ),
    topics: names('Topics'),
    groups: names('Groups'),
    producers: names('Names of producers'),
    operations: operations('Operations that may be given.'),
    principals: list(
      'Principals to whom rights may be given, besides the accounts of the namespace itself: exact, or with * at the end all that begin so.',
      text('Principal.', PRINCIPAL_LENGTH_MAX, PRINCIPAL_PATTERN),
      PATTERNS_MAX,
      { listType: 'set', minItems: 1 },
    ),
    rulesMax: integer(
      `Rules of access that LogAccess resources of one namespace may take, of ${ACCESS_RULES_MAX} that the cluster keeps: one for each principal and name. Where several consents are for a namespace, the largest counts.`,
      1,
      ACCESS_RULES_MAX,
      { default: RULES_PER_NAMESPACE },
    ),
  },
  { required: ['namespaces', 'operations'], rules: [somethingIsNamed] },
);

export const consentsSchema: Schema = list(
  'What LogAccess resources may give, of which namespaces. Absent: nothing. What is taken out is revoked. Applied live.',
  consentSchema,
  CONSENTS_MAX,
);
