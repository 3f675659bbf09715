import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalJson,
  isMadeFrom,
  templateHash,
  templateInputs,
} from '../../../../operator/objects/template.ts';
import type { LogClusterSpec } from '../../../../operator/api/types.ts';
import { buildPodTemplate } from '../../../../operator/objects/pod.ts';
import { logCluster } from '../../../fixtures/operator/log-cluster.ts';

describe('canonicalJson()', () => {
  it('is JSON, the same whatever the order of fields', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const reversed = Object.fromEntries(Object.entries(value).reverse());
        expect(canonicalJson(reversed)).toBe(canonicalJson(value));
        // JSON knows no negative zero.
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('leaves out what is undefined', () => {
    expect(canonicalJson({ b: undefined, a: [1, { d: null, c: undefined }] })).toBe(
      '{"a":[1,{"d":null}]}',
    );
  });
});

describe('templateHash()', () => {
  const hashOf = (image: string): string =>
    templateHash({ metadata: { labels: {} }, spec: { containers: [{ image }] } });

  it('is FNV-1a of 64 bits over UTF-16', () => {
    expect(hashOf('a')).toBe(
      reference('{"metadata":{"labels":{}},"spec":{"containers":[{"image":"a"}]}}'),
    );
  });

  it('is a label value, and another one for another template', () => {
    expect(hashOf('a')).toMatch(/^[0-9a-f]{16}$/);
    expect(hashOf('a')).not.toBe(hashOf('b'));
  });
});

/** FNV-1a by its definition, with a remainder in place of a mask. */
function reference(text: string): string {
  let hash = 14_695_981_039_346_656_037n;
  for (const byte of Buffer.from(text, 'utf16le'))
    hash = ((hash ^ BigInt(byte)) * 1_099_511_628_211n) % 2n ** 64n;
  return hash.toString(16).padStart(16, '0');
}

describe('isMadeFrom()', () => {
  const render = (changed: LogClusterSpec) =>
    buildPodTemplate(
      { ...logCluster(), spec: changed },
      changed.image ?? 'tidemark:1',
      'id',
      'Require',
    );
  const spec = (config: object) => logCluster({ config }).spec;
  const recorded = (config: object): string =>
    canonicalJson({ ...(JSON.parse(templateInputs(spec({}))) as object), config });

  it('keeps a template whatever becomes of live options', () => {
    const inputs = templateInputs(spec({ heartbeatMs: 300, logLevel: 'debug' }));
    expect(isMadeFrom(inputs, spec({ heartbeatMs: 300 }), render)).toBe(true);
    expect(isMadeFrom(inputs, spec({ heartbeatMs: 300, logLevel: 'warn' }), render)).toBe(true);
    expect(isMadeFrom(inputs, spec({ heartbeatMs: 301 }), render)).toBe(false);
  });

  it('counts a live option that an earlier operator wrote into the pods', () => {
    const inputs = recorded({ heartbeatMs: 300, logLevel: 'debug' });
    expect(isMadeFrom(inputs, spec({ heartbeatMs: 300, logLevel: 'debug' }), render)).toBe(true);
    expect(isMadeFrom(inputs, spec({ heartbeatMs: 300, logLevel: 'warn' }), render)).toBe(false);
    expect(isMadeFrom(inputs, spec({ heartbeatMs: 300 }), render)).toBe(false);
  });

  it('takes what is not JSON for another template', () => {
    expect(isMadeFrom('?', spec({}), render)).toBe(false);
  });

  it('keeps a template that was made before a field had a default, and where a newer schema has more', () => {
    const inputs = JSON.parse(templateInputs(spec({ heartbeatMs: 300 }))) as Record<string, object>;
    const { spread: _, ...older } = inputs['rack'] as { spread: string };
    const before = canonicalJson({ ...inputs, rack: older });
    expect(isMadeFrom(before, spec({ heartbeatMs: 300 }), render)).toBe(true);
    expect(isMadeFrom(before, spec({ heartbeatMs: 301 }), render)).toBe(false);
    const newer = canonicalJson({ ...inputs, later: { x: 1 }, rack: { ...older, later: 'y' } });
    expect(isMadeFrom(newer, spec({ heartbeatMs: 300 }), render)).toBe(true);
  });
});

describe('templateInputs()', () => {
  const before = templateInputs(logCluster().spec);

  it.each([
    { replicas: 5 },
    { minInSyncReplicas: 1 },
    { commitMode: 'Quorum' },
    { storage: { size: '20Gi' } },
    { rollout: { policy: 'Manual' } },
    { paused: 'All' },
    { moveBytesPerSecond: 1_000_000 },
    { config: { logLevel: 'debug', diskReserveBytes: 0 } },
  ])('do not change with %j', (spec) => {
    expect(templateInputs(logCluster(spec).spec)).toBe(before);
  });

  it.each([
    { image: 'tidemark:2' },
    { config: { heartbeatMs: 500 } },
    { resources: { requests: { cpu: 2 } } },
    { rack: { spread: 'Required' } },
    { podTemplate: { annotations: { restarted: 'today' } } },
  ])('change with %j', (spec) => {
    expect(templateInputs(logCluster(spec).spec)).not.toBe(before);
  });
});
