import { describe, expect, test } from 'vitest';
import { differences } from '../../../../operator/objects/compare.ts';

describe('differences, or none', () => {
  test.each([
    ['what the API server adds', { a: 1, b: 2 }, { a: 1 }, true],
    ['a value that differs', { a: 1 }, { a: 2 }, false],
    ['a missing field', {}, { a: 1 }, false],
    ['an empty object that is dropped', {}, { a: {} }, true],
    ['a list with more items', { a: [1, 2] }, { a: [1] }, false],
    ['defaults inside a list', { a: [{ x: 1, y: 2 }] }, { a: [{ x: 1 }] }, true],
    ['another writing of a quantity', { memory: '1Gi' }, { memory: '1024Mi' }, true],
    ['another quantity', { memory: '1Gi' }, { memory: '1G' }, false],
  ])('%s', (_, live, wanted, expected) => {
    expect(differences(live, wanted).length === 0).toBe(expected);
  });
});

describe('differences', () => {
  const port = (number: number, rest: object = {}): object => ({
    port: number,
    protocol: 'TCP',
    ...rest,
  });
  const service = (ports: readonly object[], ours: readonly number[] = []) => ({
    metadata: {
      managedFields: [
        {
          manager: 'tidemark-operator',
          operation: 'Apply',
          fieldsV1: {
            'f:spec': {
              'f:ports': Object.fromEntries(
                ours.map((number) => [`k:{"port":${number},"protocol":"TCP"}`, {}]),
              ),
            },
          },
        },
      ],
    },
    spec: { ports },
  });
  const wanted = { spec: { ports: [port(9641, { targetPort: 'grpc' })] } };
  const grpc = port(9641, { targetPort: 'grpc', nodePort: 30_000 });
  test.each([
    ['a port that somebody added', service([port(80), grpc], [9641]), []],
    [
      'a port that was ours and is wanted no more',
      service([grpc, port(80)], [9641, 80]),
      ['spec.ports[80,TCP]'],
    ],
    ['a port that is missing', service([port(80)]), ['spec.ports[9641,TCP]']],
    [
      'a port that leads elsewhere',
      service([port(9641, { targetPort: 1 })]),
      ['spec.ports[9641,TCP].targetPort'],
    ],
  ])('%s', (_, live, expected) => {
    expect(differences(live, wanted)).toEqual(expected);
  });

  test('a sidecar and its volume are not ours; an argument more is', () => {
    const container = (args: string[]) => ({
      name: 'broker',
      args,
      env: [{ name: 'A', value: '1' }],
    });
    const live = {
      containers: [
        { name: 'mesh' },
        { ...container(['broker', '-v']), env: [{ name: 'X' }, { name: 'A', value: '1' }] },
      ],
      volumes: [{ name: 'mesh' }],
    };
    expect(differences(live, { containers: [container(['broker'])] })).toEqual([
      'containers[broker].args',
    ]);
  });

  test('a label that was ours and is wanted no more, and none of somebody else', () => {
    const live = (ours: readonly string[]) => ({
      metadata: {
        labels: { team: 'shop', cost: '7', added: 'x' },
        annotations: { note: 'y' },
        managedFields: [
          {
            manager: 'tidemark-operator',
            operation: 'Apply',
            fieldsV1: {
              'f:metadata': {
                'f:labels': Object.fromEntries(ours.map((name) => [`f:${name}`, {}])),
                'f:annotations': { 'f:note': {} },
              },
            },
          },
        ],
      },
    });
    const wanted = { metadata: { labels: { team: 'shop' } } };
    expect(differences(live(['team', 'cost', 'gone']), wanted)).toEqual([
      'metadata.labels.cost',
      'metadata.annotations.note',
    ]);
    expect(
      differences(live(['team']), { metadata: { ...wanted.metadata, annotations: { note: 'y' } } }),
    ).toEqual([]);
  });

  test('a variable of a container that was ours and is wanted no more', () => {
    const container = (env: readonly object[]) => ({
      spec: { containers: [{ name: 'broker', env }] },
    });
    const owned = {
      'k:{"name":"broker"}': { 'f:env': { 'k:{"name":"A"}': {}, 'k:{"name":"B"}': {} } },
    };
    const managedFields = [
      {
        manager: 'tidemark-operator',
        operation: 'Apply',
        fieldsV1: { 'f:spec': { 'f:containers': owned } },
      },
    ];
    const live = {
      metadata: { managedFields },
      ...container([{ name: 'A' }, { name: 'B' }, { name: 'C' }]),
    };
    expect(differences(live, container([{ name: 'A' }]))).toEqual([
      'spec.containers[broker].env[B]',
    ]);
  });
});
