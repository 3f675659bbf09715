/**
 * The CustomResourceDefinitions, from the tables. Pure. `npm run generate` writes them to `crds/`
 * and into the chart.
 */
import { LOG_CLUSTER_RULES, logClusterSpecSchema } from './log-cluster.ts';
import { logAccessSpecSchema } from './log-access.ts';
import { logTopicSpecSchema } from './log-topic.ts';
import { API_GROUP, API_VERSION } from './names.ts';
import { toOpenApi } from './schema.ts';
import type { Json, Rule, Schema } from './schema.ts';
import { logAccessStatusSchema, logClusterStatusSchema, logTopicStatusSchema } from './status.ts';

interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly jsonPath: string;
  readonly description: string;
  /** 1: only with `-o wide`. */
  readonly priority?: number;
}

interface Resource {
  readonly kind: string;
  readonly plural: string;
  readonly shortName: string;
  readonly description: string;
  readonly spec: Schema;
  readonly status: Schema;
  readonly rules: readonly Rule[];
  readonly columns: readonly Column[];
  readonly scale?: { readonly [key: string]: Json };
}

function condition(type: string, part: 'status' | 'message'): string {
  return `.status.conditions[?(@.type=="${type}")].${part}`;
}

const READY: Column = {
  name: 'Ready',
  type: 'string',
  jsonPath: condition('Ready', 'status'),
  description: 'As the spec wants it.',
};
const AGE: Column = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Since it was made.',
};
const MESSAGE: Column = {
  name: 'Message',
  type: 'string',
  jsonPath: condition('Ready', 'message'),
  description: 'Why it is ready, or is not.',
};

const RESOURCES: readonly Resource[] = [
  {
    kind: 'LogCluster',
    plural: 'logclusters',
    shortName: 'lc',
    description: 'A cluster of Tidemark brokers.',
    spec: logClusterSpecSchema,
    status: logClusterStatusSchema,
    rules: LOG_CLUSTER_RULES,
    columns: [
      READY,
      {
        name: 'Replicas',
        type: 'integer',
        jsonPath: '.status.readyReplicas',
        description: 'Brokers that serve.',
      },
      {
        name: 'Min ISR',
        type: 'integer',
        jsonPath: '.status.minInSyncReplicas',
        description: 'Minimum of replicas in sync that topics without one of their own have.',
      },
      {
        name: 'Version',
        type: 'string',
        jsonPath: '.status.version',
        description: 'Version that the brokers report.',
      },
      AGE,
      MESSAGE,
      {
        name: 'Durability',
        type: 'string',
        jsonPath: '.status.durability',
        description: 'What acknowledged records survive.',
        priority: 1,
      },
    ],
    scale: {
      specReplicasPath: '.spec.replicas',
      statusReplicasPath: '.status.replicas',
      labelSelectorPath: '.status.labelSelector',
    },
  },
  {
    kind: 'LogTopic',
    plural: 'logtopics',
    shortName: 'lt',
    description: 'A topic of a LogCluster.',
    spec: logTopicSpecSchema,
    status: logTopicStatusSchema,
    rules: [],
    columns: [
      {
        name: 'Cluster',
        type: 'string',
        jsonPath: '.spec.clusterName',
        description: 'LogCluster that has it.',
      },
      READY,
      {
        name: 'Partitions',
        type: 'integer',
        jsonPath: '.status.partitions',
        description: 'Partitions.',
      },
      {
        name: 'Replication',
        type: 'integer',
        jsonPath: '.status.replicationFactor',
        description: 'Copies of each partition.',
      },
      {
        name: 'Min ISR',
        type: 'integer',
        jsonPath: '.status.minInSyncReplicas',
        description: 'Minimum of replicas in sync.',
      },
      AGE,
      MESSAGE,
    ],
  },
  {
    kind: 'LogAccess',
    plural: 'logaccesses',
    shortName: 'la',
    description: 'Rights that a namespace gives its own accounts, where the LogCluster consents.',
    spec: logAccessSpecSchema,
    status: logAccessStatusSchema,
    rules: [],
    columns: [
      {
        name: 'Cluster',
        type: 'string',
        jsonPath: '.spec.clusterName',
        description: 'LogCluster.',
      },
      READY,
      {
        name: 'Rules',
        type: 'integer',
        jsonPath: '.status.rules',
        description: 'Rules of access that are as the spec wants them.',
      },
      {
        name: 'Enforced',
        type: 'string',
        jsonPath: condition('Enforced', 'status'),
        description: 'Brokers ask clients who they are.',
      },
      AGE,
      MESSAGE,
      {
        name: 'Cluster Namespace',
        type: 'string',
        jsonPath: '.spec.clusterNamespace',
        description: 'Namespace of the LogCluster, where it is another one.',
        priority: 1,
      },
    ],
  },
];

/** One file: its name and the object that it holds. */
export interface Definition {
  readonly fileName: string;
  readonly crd: { readonly [key: string]: Json };
}

/** All definitions. The same from one run to the next, key by key. */
export function definitions(): readonly Definition[] {
  return RESOURCES.map((resource) => ({
    fileName: `${API_GROUP}_${resource.plural}.yaml`,
    crd: definition(resource),
  }));
}

function definition(resource: Resource): { readonly [key: string]: Json } {
  const { kind, plural, shortName } = resource;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${plural}.${API_GROUP}`,
      labels: { 'app.kubernetes.io/name': 'tidemark', 'app.kubernetes.io/part-of': 'tidemark' },
    },
    spec: {
      group: API_GROUP,
      scope: 'Namespaced',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames: [shortName],
        categories: ['tidemark'],
      },
      versions: [version(resource)],
    },
  };
}

function version(resource: Resource): { readonly [key: string]: Json } {
  const { description, spec, status, rules, columns, scale } = resource;
  const root: Schema = {
    type: 'object',
    description,
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string', description: 'Version of this schema.' },
      kind: { type: 'string', description: 'Kind of the object.' },
      spec,
      status,
    },
    ...(rules.length === 0 ? {} : { rules }),
  };
  const openApi = toOpenApi(root);
  const properties = openApi['properties'] as { readonly [key: string]: Json };
  return {
    name: API_VERSION,
    served: true,
    storage: true,
    subresources: { status: {}, ...(scale === undefined ? {} : { scale }) },
    additionalPrinterColumns: columns.map((column) => ({ ...column })),
    schema: {
      // The API server knows the schema of metadata itself, and refuses another.
      openAPIV3Schema: { ...openApi, properties: { ...properties, metadata: { type: 'object' } } },
    },
  };
}
