import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../../operator/api/kinds.ts';
import {
  claimView,
  isCordonedNode,
  nodeOfVolume,
  ordinalOf,
  podAddress,
  podView,
} from '../../../../operator/observe/objects.ts';

function podWith(status: object, spec: object = { nodeName: 'n1' }): KubeObject {
  const labels = { 'tidemark.dev/template-hash': 'aaaa' };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'tm-1', namespace: 'default', uid: 'u', resourceVersion: '5', labels },
    spec,
    status,
  };
}

describe('ordinalOf', () => {
  test.each([
    ['tm-0', 'tm', 0],
    ['tm-12', 'tm', 12],
    ['tm-01', 'tm', null],
    ['tm-x', 'tm', null],
    ['tm-2-3', 'tm', null],
    ['other-1', 'tm', null],
    ['data-tm-1', 'data-tm', 1],
  ])('of %s after %s is %s', (name, prefix, expected) => {
    expect(ordinalOf(name, prefix)).toBe(expected);
  });
});

test.each([
  [{ unschedulable: true }, true],
  [{ unschedulable: false }, false],
  [{}, false],
])('isCordonedNode of %j is %s', (spec, expected) => {
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' }, spec };
  expect(isCordonedNode(node)).toBe(expected);
  expect(isCordonedNode(undefined)).toBe(false);
});

describe('podView', () => {
  const waiting = (reason: string, message?: string): object => ({
    containerStatuses: [{ state: { waiting: { reason, message } } }],
  });
  test.each([
    [
      'an image that is not there',
      podWith(waiting('ImagePullBackOff', 'not found')),
      'ImagePullBackOff: not found',
    ],
    ['a crash loop', podWith(waiting('CrashLoopBackOff')), 'CrashLoopBackOff'],
    ['a container that is being made', podWith(waiting('ContainerCreating')), null],
    [
      'no node that fits',
      podWith(
        {
          conditions: [
            {
              type: 'PodScheduled',
              status: 'False',
              reason: 'Unschedulable',
              message: '0/3 nodes',
            },
          ],
        },
        {},
      ),
      'Unschedulable: 0/3 nodes',
    ],
  ])('is stuck or not with %s', (_, pod, stuck) => {
    expect(podView(pod, 1).stuck).toBe(stuck);
  });

  test('cuts a very long reason after a word', () => {
    const { stuck } = podView(podWith(waiting('ErrImagePull', 'no such host '.repeat(100))), 1);
    expect(stuck).toMatch(/^ErrImagePull: (no such host )+(no|no such|no such host)…$/);
  });

  test('takes what decide needs', () => {
    expect(podView(podWith({ conditions: [{ type: 'Ready', status: 'True' }] }), 1)).toEqual({
      brokerId: 1,
      cordonedForMs: null,
      name: 'tm-1',
      uid: 'u',
      resourceVersion: '5',
      isReady: true,
      isTerminating: false,
      node: 'n1',
      templateHash: 'aaaa',
      tlsPhase: 'Plaintext',
      stuck: null,
    });
  });
});

test.each([
  ['none yet', ['grpc', 'internal'], {}, null],
  ['IPv4', ['grpc', 'internal'], { podIP: '10.0.0.7' }, '10.0.0.7:9643'],
  ['IPv6', ['grpc', 'internal'], { podIP: 'fd00::7' }, '[fd00::7]:9643'],
  ['of a template with one port', ['grpc'], { podIP: '10.0.0.7' }, '10.0.0.7:9641'],
])('podAddress: %s', (_, names, status, expected) => {
  const pod = podWith(status);
  const containers = [{ ports: names.map((name) => ({ name })) }];
  expect(podAddress({ ...pod, spec: { nodeName: 'n1', containers } })).toBe(expected);
});

test('claimView tells sizes in bytes and why a resize does not go on', () => {
  const claim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'data-tm-1', namespace: 'default', uid: 'c', resourceVersion: '6' },
    spec: { resources: { requests: { storage: '2Gi' } } },
    status: {
      capacity: { storage: '1Gi' },
      conditions: [{ type: 'ControllerResizeError', status: 'True', message: 'quota' }],
    },
  };
  expect(
    claimView(claim, 1, { node: null, missing: null, growthRefusal: null, isLabelled: true }),
  ).toMatchObject({
    requestedBytes: 2 ** 31,
    capacityBytes: 2 ** 30,
    resizeFault: 'ControllerResizeError: quota',
  });
});

describe('nodeOfVolume', () => {
  const volume = (...values: string[]): KubeObject => ({
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'v' },
    spec: {
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values }] },
          ],
        },
      },
    },
  });
  test.each([
    ['one node', volume('n1'), 'n1'],
    ['two nodes', volume('n1', 'n2'), null],
    [
      'no affinity',
      { apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: 'v' }, spec: {} },
      null,
    ],
  ])('%s', (_, object, expected) => {
    expect(nodeOfVolume(object)).toBe(expected);
  });
});
