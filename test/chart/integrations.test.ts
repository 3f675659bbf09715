/** What is shipped for Argo CD and kube-state-metrics fits the resources and what they say. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { ACCESS_WARNINGS } from '../../operator/decide/access.ts';
import { TOPIC_WARNINGS } from '../../operator/decide/topics.ts';
import { CHART, parse, ROOT } from './render.ts';

const read = (...path: string[]): unknown => parse(readFileSync(join(...path), 'utf8'));
const shipped = (name: string): unknown => read(CHART, 'files', 'integrations', name);

interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
}

type Kind = 'LogCluster' | 'LogTopic' | 'LogAccess';

const PLURALS = { LogCluster: 'logclusters', LogTopic: 'logtopics', LogAccess: 'logaccesses' };

function definition(kind: Kind): Node {
  const plural = PLURALS[kind];
  const { spec } = read(ROOT, 'crds', `tidemark.dev_${plural}.yaml`) as {
    readonly spec: { readonly versions: readonly { schema: { openAPIV3Schema: Node } }[] };
  };
  return spec.versions[0]!.schema.openAPIV3Schema;
}

function at(node: Node | undefined, path: readonly string[]): Node | undefined {
  const found = path.reduce<Node | undefined>((from, field) => from?.properties?.[field], node);
  return found?.items ?? found;
}

interface Metric {
  readonly name: string;
  readonly each: {
    readonly gauge?: {
      readonly path: readonly string[];
      readonly labelsFromPath?: Readonly<Record<string, readonly string[]>>;
      readonly valueFrom?: readonly string[];
    };
    readonly info?: { readonly labelsFromPath: Readonly<Record<string, readonly string[]>> };
  };
}

describe('kube-state-metrics', () => {
  const { spec } = shipped('kube-state-metrics.yaml') as {
    readonly spec: {
      readonly resources: readonly {
        readonly groupVersionKind: { readonly kind: Kind };
        readonly labelsFromPath: Readonly<Record<string, readonly string[]>>;
        readonly metrics: readonly Metric[];
      }[];
    };
  };

  it.each(spec.resources)(
    'reads only fields that a $groupVersionKind.kind has',
    ({ groupVersionKind: { kind }, labelsFromPath, metrics }) => {
      const root = definition(kind);
      const own = Object.values(labelsFromPath).filter(([first]) => first !== 'metadata');
      const paths = metrics.flatMap(({ each: { gauge, info } }) => [
        ...(gauge === undefined ? [] : [gauge.path]),
        ...[...Object.values(gauge?.labelsFromPath ?? {}), gauge?.valueFrom ?? []].map((inner) => [
          ...(gauge?.path ?? []),
          ...inner,
        ]),
        ...Object.values(info?.labelsFromPath ?? {}),
      ]);
      const missing = [...own, ...paths].filter((path) => {
        const index = path.indexOf('conditions');
        if (index < 0) return at(root, path) === undefined;
        return at(at(root, path.slice(0, index + 1)), path.slice(index + 1)) === undefined;
      });
      expect(missing).toEqual([]);
    },
  );
});

const { error } = spawnSync('lua5.4', ['-v']);

describe('Argo CD', () => {
  beforeEach(({ skip }) => {
    skip(error !== undefined, 'lua5.4 is missing: apt-get install lua5.4');
  });

  const { data } = shipped('argocd-cm.yaml') as {
    readonly data: Readonly<Record<string, string>>;
  };
  const condition = (
    type: string,
    status: string,
    reason = 'x',
    message = `${type} ${status}`,
  ) => ({
    ...{ type, status, reason, message },
  });

  /** A value as Lua writes it. */
  function lua(value: unknown): string {
    if (Array.isArray(value)) return `{${value.map(lua).join(', ')}}`;
    if (typeof value === 'object' && value !== null)
      return `{${Object.entries(value)
        .map(([key, part]) => `[${JSON.stringify(key)}] = ${lua(part)}`)
        .join(', ')}}`;
    return JSON.stringify(value);
  }

  function health(kind: string, obj: object): string {
    const script = data[`resource.customizations.health.tidemark.dev_${kind}`] ?? '';
    const program = `local obj = ${lua(obj)}\nlocal function judge()\n${script}\nend\nlocal health = judge()\nio.write(health.status .. ': ' .. health.message)`;
    const run = spawnSync('lua5.4', ['-'], { input: program, encoding: 'utf8' });
    return `${run.stdout}${run.stderr}`;
  }

  const generation = { metadata: { generation: 2 } };
  const seen = (...conditions: object[]) => ({
    ...generation,
    status: { observedGeneration: 2, clusterId: 'c', conditions },
  });
  const UNSEEN = 'Progressing: the operator has not seen this generation';

  it.each<[string, string, object, string]>([
    ['one that is new', 'LogCluster', generation, UNSEEN],
    [
      'one whose spec was changed',
      'LogCluster',
      {
        ...generation,
        status: { observedGeneration: 1, conditions: [condition('Ready', 'True')] },
      },
      UNSEEN,
    ],
    ['one that is ready', 'LogCluster', seen(condition('Ready', 'True')), 'Healthy: Ready True'],
    [
      'one that is being formed',
      'LogCluster',
      {
        ...generation,
        status: {
          observedGeneration: 2,
          conditions: [condition('Ready', 'False'), condition('Available', 'False')],
        },
      },
      'Progressing: Ready False',
    ],
    [
      'a roll',
      'LogCluster',
      seen(
        condition('Ready', 'False'),
        condition('Available', 'True'),
        condition('Progressing', 'True'),
        condition('Degraded', 'True'),
      ),
      'Progressing: Ready False',
    ],
    [
      'a broker that is down',
      'LogCluster',
      seen(
        condition('Ready', 'False'),
        condition('Progressing', 'False'),
        condition('Degraded', 'True'),
      ),
      'Degraded: Ready False',
    ],
    [
      'appends refused',
      'LogCluster',
      seen(condition('Ready', 'False'), condition('Available', 'False')),
      'Degraded: Ready False',
    ],
    [
      'a pause',
      'LogCluster',
      seen(condition('Ready', 'True'), condition('ReconciliationPaused', 'True')),
      'Suspended: Ready True',
    ],
    ['a topic that is made', 'LogTopic', seen(condition('Ready', 'True')), 'Healthy: Ready True'],
    [
      'a topic whose cluster is not there',
      'LogTopic',
      seen(condition('Ready', 'False', 'ClusterMissing')),
      'Progressing: Ready False',
    ],
    ...Object.keys(TOPIC_WARNINGS).map((reason): [string, string, object, string] => [
      `a topic with ${reason}`,
      'LogTopic',
      seen(condition('Ready', 'False', reason)),
      'Degraded: Ready False',
    ]),
    [
      'a LogAccess that is granted',
      'LogAccess',
      seen(condition('Ready', 'True')),
      'Healthy: Ready True',
    ],
    [
      'a LogAccess whose cluster does not answer',
      'LogAccess',
      seen(condition('Ready', 'Unknown', 'ClusterUnreachable')),
      'Progressing: Ready Unknown',
    ],
    ...Object.keys(ACCESS_WARNINGS).map((reason): [string, string, object, string] => [
      `a LogAccess with ${reason}`,
      'LogAccess',
      seen(condition('Ready', 'False', reason)),
      'Degraded: Ready False',
    ]),
  ])('shows %s', (_, kind, obj, expected) => {
    expect(health(kind, obj)).toBe(expected);
  });
});
