import { describe, expect, it } from 'vitest';
import { AccessRules } from '../../../../../broker/access/rules.ts';
import type { ControllerRequest } from '../../../../../broker/metadata/controller-types.ts';
import { refusalOf } from '../../../../../broker/runtime/controller/judged-requests.ts';

const RULES = new AccessRules(
  [
    { principal: 'token:a', kind: 'topic', name: 'a.*', operations: ['create', 'delete'] },
    { principal: 'token:a', kind: 'producer', name: 'a', operations: ['append'] },
    { principal: 'token:q', kind: 'group', name: 'jobs', operations: ['group'] },
    { principal: 'token:q', kind: 'topic', name: 'orders', operations: ['read'] },
    { principal: 'token:q', kind: 'topic', name: 'dead', operations: ['append'] },
    { principal: 'token:q2', kind: 'group', name: 'jobs', operations: ['group', 'delete'] },
    { principal: 'token:ops', kind: 'cluster', name: '', operations: ['administer'] },
  ],
  [],
);

const REQUESTS = {
  create: {
    kind: 'create-topic',
    topicId: 't',
    name: 'a.x',
    partitions: 1,
    replicationFactor: 1,
    config: {},
    assignments: [],
    validateOnly: false,
  },
  alter: {
    kind: 'alter-topic',
    name: 'a.x',
    config: {},
    partitions: 0,
    replicationFactor: 0,
    waitMs: 0,
  },
  delete: { kind: 'delete-topic', name: 'a.x' },
  other: { kind: 'delete-topic', name: 'b' },
  name: { kind: 'init-producer', name: 'a' },
  otherName: { kind: 'init-producer', name: 'b' },
  noName: { kind: 'init-producer', name: '' },
  queue: {
    kind: 'create-queue',
    queueId: 'q',
    name: 'jobs',
    topic: 'orders',
    config: { deadLetterTopic: 'dead' },
    isFromLatest: false,
  },
  lease: { kind: 'alter-queue', name: 'jobs', config: { leaseMs: 1_000 } },
  letters: { kind: 'alter-queue', name: 'jobs', config: { deadLetterTopic: 'dead' } },
  otherLetters: { kind: 'alter-queue', name: 'jobs', config: { deadLetterTopic: 'a.x' } },
  noQueue: { kind: 'delete-queue', name: 'jobs' },
  remove: { kind: 'remove-broker', brokerId: 1 },
  revoke: {
    kind: 'revoke-access',
    place: { principal: 'token:a', kind: 'cluster', name: '' },
    operations: [],
  },
} as const satisfies Readonly<Record<string, ControllerRequest>>;

describe('refusalOf()', () => {
  it.each<[keyof typeof REQUESTS, string, boolean]>([
    ['create', 'token:a', true],
    ['alter', 'token:a', false],
    ['delete', 'token:a', true],
    ['other', 'token:a', false],
    ['name', 'token:a', true],
    ['otherName', 'token:a', false],
    ['noName', 'token:b', true],
    ['queue', 'token:q', true],
    ['queue', 'token:q2', false],
    ['lease', 'token:q2', true],
    ['letters', 'token:q', true],
    ['letters', 'token:q2', false],
    ['otherLetters', 'token:q', false],
    ['noQueue', 'token:q', false],
    ['noQueue', 'token:q2', true],
    ['queue', 'token:ops', false],
    ['remove', 'token:a', false],
    ['revoke', 'token:a', false],
    ['remove', 'token:ops', true],
    ['revoke', 'token:ops', true],
    ['delete', 'token:ops', false],
  ])('judges %s of %s: %s', (name, principal, isAllowed) => {
    const refusal = refusalOf({ ...REQUESTS[name], principal }, (who) => RULES.rightsOf(who));
    expect(refusal === null).toBe(isAllowed);
    if (refusal !== null) expect(refusal.code).toBe('PERMISSION_DENIED');
  });

  it('judges nothing that is asked on nobody’s behalf', () => {
    expect(refusalOf(REQUESTS.remove, (who) => RULES.rightsOf(who))).toBeNull();
  });
});
