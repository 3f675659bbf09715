/** Quotas in metadata: records, image, codec, and what becomes of requests. */
import { describe, expect, it } from 'vitest';
import { QUOTAS_MAX } from '../../../../base/limits.ts';
import type { Quota } from '../../../../base/quotas.ts';
import { apply, emptyImage } from '../../../../broker/metadata/apply.ts';
import {
  decodeImage,
  decodeRecords,
  encodeImage,
  encodeRecords,
} from '../../../../broker/metadata/codec.ts';
import { deleteQuota, setQuota } from '../../../../broker/metadata/controller/quotas.ts';
import { LEVEL_OF_ACCESS, levelOf } from '../../../../broker/metadata/features.ts';
import type { MetadataImage, MetadataRecord } from '../../../../broker/metadata/types.ts';

const AT = { index: 2, term: 1 };
const ALICE: Quota = { principal: 'cert:CN=alice', appendBytesPerSecond: 10 };
const EACH: Quota = { principal: '*', adminCallsPerSecond: -1, readBytesPerSecond: 5 };
const record = (quota: Quota): MetadataRecord => ({ kind: 'quota-set', quota });

function image(quotas: readonly Quota[], featureLevel = LEVEL_OF_ACCESS): MetadataImage {
  const cluster: MetadataRecord = { kind: 'cluster', clusterId: 'c', featureLevel };
  return apply(emptyImage(), [cluster, ...quotas.map(record)], AT);
}

const set = (before: MetadataImage, quota: Quota) => setQuota(before, { kind: 'set-quota', quota });
const drop = (before: MetadataImage, quotaOf: string) =>
  deleteQuota(before, { kind: 'delete-quota', quotaOf });

describe('records of quotas', () => {
  it('set the quota of a principal and take it away, and leave the image before alone', () => {
    const before = image([ALICE, EACH]);
    const changed = { ...ALICE, appendBytesPerSecond: 20 };
    const after = apply(before, [record(changed), { kind: 'quota-deleted', principal: '*' }], AT);
    expect([...after.quotas.values()]).toEqual([changed]);
    expect([...before.quotas.values()]).toEqual([ALICE, EACH]);
    const same = apply(after, [{ kind: 'quota-deleted', principal: 'token:none' }], AT);
    expect(same.quotas).toBe(after.quotas);
  });

  it('travel as text, in a snapshot in one order, and in none where there are none', () => {
    const records = [record(ALICE), { kind: 'quota-deleted', principal: '*' }] as const;
    expect(decodeRecords(encodeRecords(records))).toEqual(records);
    const full = image([ALICE, EACH]);
    expect(decodeImage(encodeImage(full))).toEqual(full);
    expect(encodeImage(image([EACH, ALICE]))).toBe(encodeImage(full));
    expect(encodeImage(image([]))).not.toContain('quotas');
    for (const one of records) expect(levelOf(one)).toBe(LEVEL_OF_ACCESS);
  });

  it.each([
    ['{"kind":"quota-set","quota":{"principal":"*"}}', /limits are none/],
    ['{"kind":"quota-set","quota":{"principal":"*","readBytesPerSecond":0}}', /from 1 to/],
    ['{"kind":"quota-set","quota":{"principal":"a","readBytesPerSecond":1}}', /must begin with/],
    ['{"kind":"quota-set","quota":{"principal":"*","readBytesPerSecond":"1"}}', /Bytes/],
    ['{"kind":"quota-deleted"}', /principal/],
  ])('are not read from %s', (text, fault) => {
    expect(() => decodeRecords(`[${text}]`)).toThrow(fault);
  });
});

describe('setQuota()', () => {
  it('adds to what is there, and writes nothing where nothing changes', () => {
    const before = image([ALICE]);
    expect(set(before, ALICE)).toEqual([]);
    expect(set(before, { ...ALICE, appendBytesPerSecond: -1 })).toEqual([
      record({ ...ALICE, appendBytesPerSecond: -1 }),
    ]);
    expect(set(before, { principal: ALICE.principal, producerIdsPerSecond: 1 })).toEqual([
      record({ ...ALICE, producerIdsPerSecond: 1 }),
    ]);
    expect(set(before, EACH)).toEqual([record(EACH)]);
  });

  it('refuses what is no quota, a cluster that is behind, and one too many', () => {
    expect(() => set(image([]), { principal: '*' })).toThrow(/limits are none/);
    expect(() => set(image([], LEVEL_OF_ACCESS - 1), ALICE)).toThrow(/needs feature level/);
    const many = Array.from({ length: QUOTAS_MAX }, (_, at) => ({
      ...ALICE,
      principal: `token:${at}`,
    }));
    const full = image(many);
    expect(() => set(full, EACH)).toThrow(/there are 10000 already/);
    expect(set(full, { principal: 'token:3', appendBytesPerSecond: 1 })).toHaveLength(1);
  });
});

describe('deleteQuota()', () => {
  it('deletes what is there, and writes nothing where there is none', () => {
    const before = image([ALICE]);
    expect(drop(before, ALICE.principal)).toEqual([
      { kind: 'quota-deleted', principal: ALICE.principal },
    ]);
    expect(drop(before, '*')).toEqual([]);
    expect(() => drop(before, 'token:*')).toThrow(/must be one as it is/);
    expect(() => drop(image([], LEVEL_OF_ACCESS - 1), '*')).toThrow(/needs feature level/);
  });
});
