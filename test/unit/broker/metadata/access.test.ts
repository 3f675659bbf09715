/** Rules of access in metadata: records, image, codec, and what becomes of requests. */
import { describe, expect, it } from 'vitest';
import { type AccessRule, placeKey } from '../../../../base/access.ts';
import { ACCESS_RULES_MAX } from '../../../../base/limits.ts';
import { apply, emptyImage } from '../../../../broker/metadata/apply.ts';
import {
  decodeImage,
  decodeRecords,
  encodeImage,
  encodeRecords,
} from '../../../../broker/metadata/codec.ts';
import { grantAccess, revokeAccess } from '../../../../broker/metadata/controller/access.ts';
import { isAccessChanged } from '../../../../broker/metadata/delta.ts';
import { LEVEL_OF_ACCESS, LEVEL_OF_GIVEN, levelOf } from '../../../../broker/metadata/features.ts';
import type { MetadataImage, MetadataRecord } from '../../../../broker/metadata/types.ts';

const AT = { index: 2, term: 1 };
const ALICE: AccessRule = {
  principal: 'cert:CN=alice',
  kind: 'topic',
  name: 'orders',
  operations: ['append', 'read'],
};
const OPS: AccessRule = {
  principal: 'token:ops',
  kind: 'cluster',
  name: '',
  operations: ['administer'],
};
const granted = (rule: AccessRule): MetadataRecord => ({ kind: 'access-granted', rule });

function image(rules: readonly AccessRule[], featureLevel = LEVEL_OF_ACCESS): MetadataImage {
  const cluster: MetadataRecord = { kind: 'cluster', clusterId: 'c', featureLevel };
  return apply(emptyImage(), [cluster, ...rules.map(granted)], AT);
}

describe('records of access', () => {
  it('set the rule of a place and take it away, and leave the image before alone', () => {
    const before = image([ALICE, OPS]);
    const after = apply(
      before,
      [
        granted({ ...ALICE, operations: ['read'] }),
        { kind: 'access-revoked', place: { principal: 'token:ops', kind: 'cluster', name: '' } },
      ],
      AT,
    );
    expect([...after.access.values()]).toEqual([{ ...ALICE, operations: ['read'] }]);
    expect([...before.access.values()]).toEqual([ALICE, OPS]);
    expect(isAccessChanged(before, after)).toBe(true);
  });

  it('share the table where they change nothing', () => {
    const before = image([ALICE]);
    const gone = { kind: 'access-revoked', place: { ...OPS } } as const;
    expect(isAccessChanged(before, apply(before, [gone], AT))).toBe(false);
  });

  it('travel as text, in a snapshot in one order', () => {
    const records = [granted(ALICE), { kind: 'access-revoked', place: placeOf(OPS) } as const];
    expect(decodeRecords(encodeRecords(records))).toEqual(records);
    const one = image([ALICE, OPS]);
    expect(decodeImage(encodeImage(one))).toEqual(one);
    expect(encodeImage(image([OPS, ALICE]))).toBe(encodeImage(one));
    // A snapshot of a level before has none, and is read.
    expect(encodeImage(image([]))).not.toContain('access');
    expect(decodeImage(encodeImage(image([]))).access.size).toBe(0);
  });

  it.each([
    { rule: { ...ALICE, operations: ['administer'] } },
    { rule: { ...ALICE, operations: [] } },
    { rule: { ...ALICE, principal: 'alice' } },
    { rule: { ...ALICE, name: '' } },
    { rule: { ...ALICE, kind: 'queue' } },
    { rule: { ...ALICE, given: [] } },
    { rule: { ...ALICE, given: ['delete'] } },
  ])('are not believed as %j', (fields) => {
    expect(() => decodeRecords(JSON.stringify([{ kind: 'access-granted', ...fields }]))).toThrow(
      /Cannot read data/,
    );
  });

  it('need their level', () => {
    expect(levelOf(granted(ALICE))).toBe(LEVEL_OF_ACCESS);
    expect(levelOf({ kind: 'access-revoked', place: placeOf(ALICE) })).toBe(LEVEL_OF_ACCESS);
  });
});

function placeOf({ principal, kind, name }: AccessRule) {
  return { principal, kind, name };
}

describe('grantAccess()', () => {
  const grant = (from: MetadataImage, rule: AccessRule) =>
    grantAccess(from, { kind: 'grant-access', rule });

  it('adds operations to what the place has', () => {
    expect(grant(image([]), ALICE)).toEqual([granted(ALICE)]);
    expect(grant(image([ALICE]), { ...ALICE, operations: ['delete', 'append'] })).toEqual([
      granted({ ...ALICE, operations: ['append', 'read', 'delete'] }),
    ]);
    expect(grant(image([ALICE]), { ...ALICE, operations: ['read'] })).toEqual([]);
  });

  it('refuses what is no rule, naming every fault', () => {
    const wrong: AccessRule = { principal: 'x', kind: 'cluster', name: 'y', operations: ['read'] };
    expect(() => grant(image([]), wrong)).toThrow(
      /principal is 'x'.*name is 'y'.*operation is 'read'/,
    );
  });

  it('waits for the level', () => {
    expect(() => grant(image([], LEVEL_OF_ACCESS - 1), ALICE)).toThrow('it needs feature level 8');
  });

  it('keeps to the bound of rules, and lets those that are there be widened', () => {
    const full = {
      ...image([ALICE]),
      access: new Map(
        Array.from({ length: ACCESS_RULES_MAX }, (_, index) => {
          const rule = index === 0 ? ALICE : { ...ALICE, name: `t${index}` };
          return [placeKey(rule), rule];
        }),
      ),
    };
    expect(() => grant(full, OPS)).toThrow('there are 10000 rules already');
    expect(grant(full, { ...ALICE, operations: ['delete'] })).toHaveLength(1);
  });
});

describe('revokeAccess()', () => {
  const revoke = (from: MetadataImage, operations: AccessRule['operations']) =>
    revokeAccess(from, { kind: 'revoke-access', place: placeOf(ALICE), operations });

  it('takes some operations, or all', () => {
    expect(revoke(image([ALICE]), ['append', 'delete'])).toEqual([
      granted({ ...ALICE, operations: ['read'] }),
    ]);
    const all = [{ kind: 'access-revoked', place: placeOf(ALICE) }];
    expect(revoke(image([ALICE]), [])).toEqual(all);
    expect(revoke(image([ALICE]), ['append', 'read'])).toEqual(all);
    expect(revoke(image([ALICE]), ['delete'])).toEqual([]);
    expect(revoke(image([OPS]), [])).toEqual([]);
  });
});

describe('what LogAccess gave', () => {
  const GIVEN: AccessRule = { ...ALICE, given: ['append'] };
  const give = (from: MetadataImage, operations: AccessRule['operations']) =>
    grantAccess(from, { kind: 'grant-access', rule: { ...ALICE, operations }, isGiven: true });
  const takeBack = (from: MetadataImage, operations: AccessRule['operations']) =>
    revokeAccess(from, {
      kind: 'revoke-access',
      place: placeOf(ALICE),
      operations,
      isGiven: true,
    });
  const world = (...rules: AccessRule[]): MetadataImage => image(rules, LEVEL_OF_GIVEN);

  it('is what nobody had granted before', () => {
    expect(give(world(), ['append', 'read'])).toEqual([
      granted({ ...ALICE, given: ['append', 'read'] }),
    ]);
    expect(give(world({ ...ALICE, operations: ['read'] }), ['append', 'read'])).toEqual([
      granted(GIVEN),
    ]);
    expect(give(world(ALICE), ['append', 'read'])).toEqual([]);
    expect(give(world(GIVEN), ['append'])).toEqual([]);
  });

  it('is a person’s once a person grants it too', () => {
    const grant = grantAccess(world(GIVEN), {
      kind: 'grant-access',
      rule: { ...ALICE, operations: ['append'] },
    });
    expect(grant).toEqual([granted(ALICE)]);
    expect(takeBack(world(ALICE), [])).toEqual([]);
  });

  it('is all that is taken back for LogAccess', () => {
    const left = [granted({ ...ALICE, operations: ['read'] })];
    expect(takeBack(world(GIVEN), [])).toEqual(left);
    expect(takeBack(world(GIVEN), ['append', 'read'])).toEqual(left);
    expect(takeBack(world(GIVEN), ['read'])).toEqual([]);
    const both: AccessRule = { ...ALICE, given: ['append', 'read'] };
    expect(takeBack(world(both), ['append'])).toEqual([
      granted({ ...ALICE, operations: ['read'], given: ['read'] }),
    ]);
    expect(takeBack(world(both), [])).toEqual([{ kind: 'access-revoked', place: placeOf(ALICE) }]);
  });

  it('goes when a person revokes it', () => {
    const revoke = (operations: AccessRule['operations']) =>
      revokeAccess(world(GIVEN), { kind: 'revoke-access', place: placeOf(ALICE), operations });
    expect(revoke(['append'])).toEqual([granted({ ...ALICE, operations: ['read'] })]);
    expect(revoke(['read'])).toEqual([
      granted({ ...ALICE, operations: ['append'], given: ['append'] }),
    ]);
  });

  it('waits for its level, in both directions, and is text that the level before reads without it', () => {
    const early = image([ALICE], LEVEL_OF_GIVEN - 1);
    expect(() => give(early, ['delete'])).toThrow('it needs feature level 10');
    expect(() => takeBack(early, [])).toThrow('it needs feature level 10');
    expect(levelOf(granted(GIVEN))).toBe(LEVEL_OF_GIVEN);
    expect(decodeRecords(encodeRecords([granted(GIVEN)]))).toEqual([granted(GIVEN)]);
    expect(decodeImage(encodeImage(world(GIVEN)))).toEqual(world(GIVEN));
    expect(encodeImage(world(ALICE))).not.toContain('given');
  });
});
