/**
 * Kubernetes' own types that a LogCluster passes through: to its pods resources, tolerations,
 * affinity and spread, to its NetworkPolicy peers. Pure. Source: core/v1 and networking.k8s.io/v1
 * of Kubernetes 1.35. Only bounds are added, so that no object outgrows what the API server can
 * check.
 */
import { QUANTITY_PATTERN, quantityValue } from './quantity.ts';
import { choice, integer, list, map, object, text } from './schema.ts';
import type { Rule, Schema } from './schema.ts';
import type { Resources } from './types.ts';

const NAME_LENGTH_MAX = 253;
/** Prefix of 253, a slash, and a name of 63. */
export const LABEL_KEY_LENGTH_MAX = 317;
export const LABEL_VALUE_LENGTH_MAX = 63;
const ITEMS_MAX = 16;
const VALUES_MAX = 64;

/** A field that holds a label key. */
export function labelKey(description: string): Schema {
  return text(description, LABEL_KEY_LENGTH_MAX);
}

export function labelMap(description: string, maxProperties = 32): Schema {
  return map(description, text('Value of the label.', LABEL_VALUE_LENGTH_MAX), maxProperties);
}

const quantity: Schema = {
  description: 'Quantity, such as 500m, 2 or 1Gi.',
  isIntOrString: true,
  maxLength: 20,
  pattern: QUANTITY_PATTERN,
  patternMeaning: 'a quantity such as 500m, 2 or 1Gi',
};

function quantities(description: string): Schema {
  return object<{ cpu: 0; memory: 0; 'ephemeral-storage': 0 }>(description, {
    cpu: { ...quantity, description: 'Processors: 500m is half of one.' },
    memory: { ...quantity, description: 'Memory, such as 1Gi.' },
    'ephemeral-storage': { ...quantity, description: 'Disk outside the data volume.' },
  });
}

function requestWithinLimit(name: string): Rule {
  const request = `self.requests.${name}`;
  const limit = `self.limits.${name}`;
  return {
    cel: `!has(self.requests) || !has(${request}) || !has(self.limits) || !has(${limit}) || quantity(string(${request})).compareTo(quantity(string(${limit}))) <= 0`,
    message: `requests.${name} is %s, must be at most limits.${name} (%s)`,
    values: [request, limit],
    fieldPath: `.requests.${name}`,
    check: ({ requests, limits }: Resources) => {
      const [asked, most] = [requests?.[name], limits?.[name]];
      if (asked === undefined || most === undefined) return null;
      return quantityValue(asked) <= quantityValue(most) ? null : [asked, most];
    },
  };
}

/**
 * Of brokers whose LogCluster says nothing. From 1 GiB on a broker's collector takes its time
 * (bench/results/2026-11-30-collections.md); what is asked for is what there is at most, so that no
 * neighbour's need ends a broker. No limit of processors: a throttled broker falls behind.
 */
export const DEFAULT_RESOURCES: Resources = {
  requests: { cpu: '250m', memory: '1Gi' },
  limits: { memory: '1Gi' },
};

export const resourcesSchema: Schema = object<Resources>(
  "Processor and memory of each broker. A change restarts the brokers one after the other. Absent: the operator's default when the cluster is made (250m, and 1Gi of memory as request and limit), and the same from then on: a newer operator restarts no broker.",
  {
    requests: quantities('What the scheduler sets aside.'),
    limits: quantities('What the kernel enforces.'),
  },
  {
    rules: [requestWithinLimit('cpu'), requestWithinLimit('memory')],
  },
);

export const tolerationsSchema: Schema = list(
  'Taints that the pods tolerate.',
  object<{ key: 0; operator: 0; value: 0; effect: 0; tolerationSeconds: 0 }>('A toleration.', {
    key: labelKey('Taint key; empty with operator Exists: every taint.'),
    operator: choice('How key and value are compared.', ['Exists', 'Equal']),
    value: text('Taint value.', LABEL_VALUE_LENGTH_MAX),
    effect: choice('Effect that is tolerated; absent: all.', [
      'NoSchedule',
      'PreferNoSchedule',
      'NoExecute',
    ]),
    tolerationSeconds: integer(
      'How long a NoExecute taint is tolerated; absent: for ever.',
      0,
      2_147_483_647,
    ),
  }),
  ITEMS_MAX,
);

function requirement(description: string, operators: readonly string[]): Schema {
  return object<{ key: 0; operator: 0; values: 0 }>(
    description,
    {
      key: labelKey('Label key.'),
      operator: choice('How key and values are compared.', operators),
      values: list('Values.', text('Value.', LABEL_VALUE_LENGTH_MAX), VALUES_MAX),
    },
    { required: ['key', 'operator'] },
  );
}

const labelSelector = object<{ matchLabels: 0; matchExpressions: 0 }>('Pods that are meant.', {
  matchLabels: labelMap('Labels and the values they must have.'),
  matchExpressions: list(
    'Requirements, all of which must hold.',
    requirement('A requirement.', ['In', 'NotIn', 'Exists', 'DoesNotExist']),
    ITEMS_MAX,
  ),
});

const NODE_OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt'];
const nodeSelectorTerm = object<{ matchExpressions: 0; matchFields: 0 }>(
  'Requirements on a node, all of which must hold.',
  {
    matchExpressions: list(
      'On its labels.',
      requirement('A requirement.', NODE_OPERATORS),
      ITEMS_MAX,
    ),
    matchFields: list('On its fields.', requirement('A requirement.', NODE_OPERATORS), ITEMS_MAX),
  },
);

const podAffinityTerm = object<{
  labelSelector: 0;
  topologyKey: 0;
  namespaces: 0;
  namespaceSelector: 0;
  matchLabelKeys: 0;
  mismatchLabelKeys: 0;
}>(
  'Pods, and how near they are meant to be.',
  {
    labelSelector,
    topologyKey: labelKey('Node label whose equal values mean near.'),
    namespaces: list(
      'Namespaces of the pods; absent: this one.',
      text('Namespace.', LABEL_VALUE_LENGTH_MAX),
      ITEMS_MAX,
    ),
    namespaceSelector: { ...labelSelector, description: 'Namespaces of the pods, by label.' },
    matchLabelKeys: list(
      'Labels whose value must be that of this pod.',
      labelKey('Key.'),
      ITEMS_MAX,
    ),
    mismatchLabelKeys: list(
      'Labels whose value must not be that of this pod.',
      labelKey('Key.'),
      ITEMS_MAX,
    ),
  },
  { required: ['topologyKey'] },
);

function weighted(name: string, term: Schema): Schema {
  return list(
    'Preferred; the scheduler adds up the weights.',
    {
      type: 'object',
      description: 'A weighted term.',
      properties: { weight: integer('Weight.', 1, 100), [name]: term },
      required: ['weight', name],
    },
    ITEMS_MAX,
  );
}

function podAffinity(description: string): Schema {
  return object<{
    requiredDuringSchedulingIgnoredDuringExecution: 0;
    preferredDuringSchedulingIgnoredDuringExecution: 0;
  }>(description, {
    requiredDuringSchedulingIgnoredDuringExecution: list('Must hold.', podAffinityTerm, ITEMS_MAX),
    preferredDuringSchedulingIgnoredDuringExecution: weighted('podAffinityTerm', podAffinityTerm),
  });
}

export const affinitySchema: Schema = object<{
  nodeAffinity: 0;
  podAffinity: 0;
  podAntiAffinity: 0;
}>('Which nodes, and near which pods. Kept as it is.', {
  nodeAffinity: object<{
    requiredDuringSchedulingIgnoredDuringExecution: 0;
    preferredDuringSchedulingIgnoredDuringExecution: 0;
  }>('Nodes.', {
    requiredDuringSchedulingIgnoredDuringExecution: object<{ nodeSelectorTerms: 0 }>(
      'Must hold.',
      { nodeSelectorTerms: list('Terms, one of which must hold.', nodeSelectorTerm, ITEMS_MAX) },
      { required: ['nodeSelectorTerms'] },
    ),
    preferredDuringSchedulingIgnoredDuringExecution: weighted('preference', nodeSelectorTerm),
  }),
  podAffinity: podAffinity('Near these pods.'),
  podAntiAffinity: podAffinity('Not near these pods.'),
});

/** Of an address range such as 10.0.0.0/8; which are ones is for the API server to judge. */
const CIDR_LENGTH_MAX = 43;

/** Peers of a NetworkPolicy; what they may be together is for the API server to judge too. */
export function networkPeers(description: string): Schema {
  const peer = object<{ podSelector: 0; namespaceSelector: 0; ipBlock: 0 }>(
    'Pods, namespaces or addresses.',
    {
      podSelector: { ...labelSelector, description: 'Pods; absent: all of the namespaces.' },
      namespaceSelector: {
        ...labelSelector,
        description: 'Their namespaces; absent: that of the LogCluster. Empty: all.',
      },
      ipBlock: object<{ cidr: 0; except: 0 }>(
        'Addresses, mostly from outside the cluster.',
        {
          cidr: text('Range such as 10.0.0.0/8.', CIDR_LENGTH_MAX, { minLength: 1 }),
          except: list(
            'Ranges within it that are not meant.',
            text('Range.', CIDR_LENGTH_MAX, { minLength: 1 }),
            ITEMS_MAX,
          ),
        },
        { required: ['cidr'] },
      ),
    },
  );
  return list(description, peer, ITEMS_MAX, { minItems: 1 });
}

export const topologySpreadSchema: Schema = list(
  "Spread over the nodes. Replaces the operator's own, which is over racks and over nodes.",
  object<{
    maxSkew: 0;
    topologyKey: 0;
    whenUnsatisfiable: 0;
    labelSelector: 0;
    minDomains: 0;
    nodeAffinityPolicy: 0;
    nodeTaintsPolicy: 0;
    matchLabelKeys: 0;
  }>(
    'A constraint.',
    {
      maxSkew: integer('Largest difference between two domains.', 1, 1_000),
      topologyKey: labelKey('Node label whose values are the domains.'),
      whenUnsatisfiable: choice('What to do where it cannot hold.', [
        'DoNotSchedule',
        'ScheduleAnyway',
      ]),
      labelSelector,
      minDomains: integer('Fewest domains, with DoNotSchedule.', 1, 1_000),
      nodeAffinityPolicy: choice('Whether affinity limits the domains.', ['Honor', 'Ignore']),
      nodeTaintsPolicy: choice('Whether taints limit the domains.', ['Honor', 'Ignore']),
      matchLabelKeys: list('Pod labels that tell revisions apart.', labelKey('Key.'), ITEMS_MAX),
    },
    { required: ['maxSkew', 'topologyKey', 'whenUnsatisfiable'] },
  ),
  ITEMS_MAX,
);

export const imagePullSecretsSchema: Schema = list(
  'Secrets of the namespace with which the image is pulled.',
  object<{ name: 0 }>(
    'A secret.',
    { name: text('Its name.', NAME_LENGTH_MAX, { minLength: 1 }) },
    { required: ['name'] },
  ),
  ITEMS_MAX,
);
