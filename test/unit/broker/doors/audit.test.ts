import { beforeEach, describe, expect, it } from 'vitest';
import { Audit } from '../../../../broker/doors/audit.ts';
import { parseTokens } from '../../../../broker/doors/tokens-file.ts';

const PATH = '/tidemark.v1.LogService/Append';

describe('Audit', () => {
  let nowMs: number;
  let told: { readonly event: string; readonly fields: Record<string, unknown> }[];
  let audit: Audit;
  beforeEach(() => {
    nowMs = 0;
    told = [];
    audit = new Audit((event, fields) => void told.push({ event, fields }), {
      monotonicMs: () => nowMs,
    });
  });
  const deny = (principal: string, from = '10.0.0.1:5000') =>
    audit.denied({ principal, from, listener: 'client' }, PATH, 'PERMISSION_DENIED', 'no');

  it('tells a refusal at once, then counts, for each caller by itself', () => {
    for (let time = 0; time < 100; time += 1) deny('token:a');
    deny('token:b');
    nowMs += 10_000;
    deny('token:a');
    expect(told.map(({ fields }) => [fields['principal'], fields['passedOver']])).toEqual([
      ['token:a', 0],
      ['token:b', 0],
      ['token:a', 99],
    ]);
  });

  it('takes connections of one address for one caller while nobody is known', () => {
    for (let port = 1; port < 100; port += 1) deny('', `10.0.0.1:${port}`);
    expect(told).toHaveLength(1);
  });

  it('is not flooded by many callers, and counts those that it does not tell', () => {
    for (let caller = 0; caller < 5_000; caller += 1) deny(`token:${caller}`);
    expect(told.length).toBeLessThan(1_010);
    nowMs += 10_000;
    deny('token:new');
    expect(told.at(-1)?.fields['passedOver']).toBe(0);
  });

  it('shows what a caller chose on one line, and not for ever', () => {
    audit.changed(
      { principal: 'token:a', from: 'x', listener: 'client' },
      PATH,
      `a\n${'b'.repeat(5_000)}`,
      'ok',
    );
    const resource = String(told[0]?.fields['resource']);
    expect(resource).not.toContain('\n');
    expect(resource.length).toBeLessThan(700);
  });
});

describe('parseTokens()', () => {
  const digest = 'ab'.repeat(32);

  it('reads names by hash', () => {
    const text = `# who\n\nops ${digest}\n  batch-1\t${'cd'.repeat(32)} \n`;
    expect([...parseTokens(text)]).toEqual([
      [digest, 'ops'],
      ['cd'.repeat(32), 'batch-1'],
    ]);
  });

  it.each([
    'ops',
    'ops secret',
    `ops ${digest.toUpperCase()}`,
    `o/ps ${digest}`,
    `ops ${digest} x`,
  ])('refuses "%s" by the number of its line alone', (line) => {
    expect(() => parseTokens(`# a\n${line}`)).toThrow(
      'line 2 must be a name and 64 hexadecimal digits in lower case',
    );
  });

  it('refuses one token of two names', () => {
    expect(() => parseTokens(`a ${digest}\nb ${digest}`)).toThrow('line 2 repeats');
  });
});
