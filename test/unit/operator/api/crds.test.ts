/** What the API server asks of a definition, and what we ask beyond that. */
import { describe, expect, it } from 'vitest';
import { TOPIC_CONFIGS } from '../../../../broker/metadata/config.ts';
import { definitions } from '../../../../operator/api/crds.ts';
import { logTopicSpecSchema } from '../../../../operator/api/log-topic.ts';
import { retentionSizeBytes, retentionTimeMs } from '../../../../operator/api/quantity.ts';

interface Node {
  readonly type?: string;
  readonly description?: string;
  readonly enum?: readonly string[];
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly additionalProperties?: Node;
  readonly default?: unknown;
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-validations'?: readonly {
    readonly rule: string;
    readonly messageExpression: string;
  }[];
}

interface Crd {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly names: Readonly<Record<string, unknown>>;
    readonly versions: readonly {
      readonly subresources: unknown;
      readonly additionalPrinterColumns: readonly { readonly name: string }[];
      readonly schema: { readonly openAPIV3Schema: Node };
    }[];
  };
}

const crds = definitions().map(({ crd }) => crd as unknown as Crd);

/** Every node below spec and status, with its path. */
function nodesOf({ spec }: Crd): (readonly [string, Node])[] {
  const root = spec.versions[0]!.schema.openAPIV3Schema.properties ?? {};
  const walk = (path: string, node: Node): (readonly [string, Node])[] => [
    [path, node],
    ...Object.entries(node.properties ?? {}).flatMap(([key, part]) => walk(`${path}.${key}`, part)),
    ...(node.items === undefined ? [] : walk(`${path}[]`, node.items)),
    ...(node.additionalProperties === undefined
      ? []
      : walk(`${path}{}`, node.additionalProperties)),
  ];
  return [...walk('spec', root['spec']!), ...walk('status', root['status']!)];
}

function isBounded(node: Node): boolean {
  if (node['x-kubernetes-int-or-string'] === true) return node.maxLength !== undefined;
  if (node.type === 'integer') return node.minimum !== undefined && node.maximum !== undefined;
  if (node.type === 'string') return node.maxLength !== undefined || node.enum !== undefined;
  if (node.type === 'array') return node.maxItems !== undefined;
  return node.additionalProperties === undefined || node.maxProperties !== undefined;
}

describe.each(crds)('definitions() of $metadata.name', (crd) => {
  const nodes = nodesOf(crd);
  const paths = (isWrong: (node: Node, path: string) => boolean): string[] =>
    nodes.filter(([path, node]) => isWrong(node, path)).map(([path]) => path);

  it('describes every field', () => {
    expect(paths(({ description = '' }) => !/^[A-Z].*\.$/s.test(description))).toEqual([]);
  });

  it('bounds every number, text, list and map', () => {
    expect(paths((node) => !isBounded(node))).toEqual([]);
  });

  it('says how each list merges', () => {
    expect(
      paths((node) => node.type === 'array' && node['x-kubernetes-list-type'] === undefined),
    ).toEqual([]);
    const conditions = nodes.find(([path]) => path === 'status.conditions')?.[1];
    expect(conditions?.['x-kubernetes-list-type']).toBe('map');
    expect(conditions?.['x-kubernetes-list-map-keys']).toEqual(['type']);
  });

  it('names a value in the message of every rule', () => {
    const rules = nodes.flatMap(([, node]) => node['x-kubernetes-validations'] ?? []);
    expect(rules.length).toBeGreaterThan(0);
    expect(
      rules.filter(({ messageExpression }) => !/%s.*\.format\(\[.+\]\)$/.test(messageExpression)),
    ).toEqual([]);
  });

  it('has the status subresource and belongs to a category', () => {
    expect(crd.spec.versions[0]?.subresources).toMatchObject({ status: {} });
    expect(crd.spec.names['categories']).toEqual(['tidemark']);
  });
});

describe('definitions()', () => {
  it('gives LogCluster a scale subresource, a short name and its columns', () => {
    const [crd] = crds;
    expect(crd?.spec.names['shortNames']).toEqual(['lc']);
    expect(crd?.spec.versions[0]?.subresources).toEqual({
      status: {},
      scale: {
        specReplicasPath: '.spec.replicas',
        statusReplicasPath: '.status.replicas',
        labelSelectorPath: '.status.labelSelector',
      },
    });
    expect(crd?.spec.versions[0]?.additionalPrinterColumns.map(({ name }) => name)).toEqual([
      'Ready',
      'Replicas',
      'Min ISR',
      'Version',
      'Age',
      'Message',
      'Durability',
    ]);
  });

  it('completes the default of an object, since rules see it before the defaults inside', () => {
    const rollout = nodesOf(crds[0]!).find(([path]) => path === 'spec.rollout')?.[1];
    expect(rollout?.default).toEqual({ policy: 'Automatic', maxUnavailable: 1 });
  });
});

describe("bounds of the broker's topic settings", () => {
  it('are those of LogTopic', () => {
    const config = logTopicSpecSchema.properties?.['config']?.properties ?? {};
    for (const name of [
      'segmentBytes',
      'segmentMs',
      'batchBytesMax',
      'tombstoneRetentionMs',
      'compactionDirtyPercent',
      'compactionLagMinMs',
    ] as const) {
      const { min, max } = TOPIC_CONFIGS[name];
      expect({ name, min: config[name]?.minimum, max: config[name]?.maximum }).toEqual({
        name,
        min,
        max,
      });
    }
    for (const name of ['retentionRecords', 'compactionLagMaxMs'] as const) {
      const { max } = TOPIC_CONFIGS[name];
      expect([config[name]?.minimum, config[name]?.maximum]).toEqual([-1, max]);
    }
    expect(config['cleanup']?.enum?.map((word) => word.toLowerCase())).toEqual(
      TOPIC_CONFIGS.cleanup.values,
    );
  });

  it('stay as the topic has them where they are absent: none has a default', () => {
    const config = logTopicSpecSchema.properties?.['config']?.properties ?? {};
    expect(Object.entries(config).filter(([, field]) => field.default !== undefined)).toEqual([]);
  });

  it('say the defaults of retention and state none: what is absent stays as the topic has it', () => {
    const { properties, description } = logTopicSpecSchema.properties!['retention']!;
    expect(properties?.['time']?.default).toBeUndefined();
    expect(properties?.['size']?.default).toBeUndefined();
    expect(description).toContain('7d, unlimited');
    expect(retentionTimeMs('7d')).toBe(TOPIC_CONFIGS.retentionMs.default);
    expect(retentionSizeBytes('unlimited')).toBe(TOPIC_CONFIGS.retentionBytes.default);
  });
});
