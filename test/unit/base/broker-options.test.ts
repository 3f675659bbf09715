import { describe, expect, it } from 'vitest';
import { readConfig } from '../../../broker/config.ts';
import {
  LOG_LEVELS,
  loggedLevel,
  NUMBER_OPTIONS,
  optionRelationFaults,
  optionVariable,
} from '../../../base/broker-options.ts';
import type { NumberOption } from '../../../base/broker-options.ts';

const GIVEN = ['--id', '0', '--data', 'somewhere', '--listen', '127.0.0.1:9641'];
const options: readonly NumberOption[] = Object.values(NUMBER_OPTIONS);

describe('NUMBER_OPTIONS', () => {
  it.each(options)('has a default within its bounds: $flag', ({ fallback, min, max }) => {
    expect(fallback).toBeGreaterThanOrEqual(min);
    expect(fallback).toBeLessThanOrEqual(max);
  });

  it.each(options)('is what a broker refuses by: $flag', ({ flag, min, max }) => {
    for (const value of [String(min - 1), String(max + 1), '1.5']) {
      expect(() => readConfig(GIVEN, { [optionVariable(flag)]: value })).toThrow(
        `config: ${flag} is '${value}', must be a whole number from ${min} to ${max}`,
      );
    }
  });
});

describe('optionVariable()', () => {
  it('is the flag in capitals', () => {
    expect(optionVariable('session-timeout-ms')).toBe('TIDEMARK_SESSION_TIMEOUT_MS');
  });
});

describe('loggedLevel()', () => {
  it('hides no warning, whatever is set', () => {
    expect(LOG_LEVELS.map(loggedLevel)).toEqual(['trace', 'debug', 'info', 'warn', 'warn', 'warn']);
  });
});

describe('optionRelationFaults()', () => {
  it.each([
    { name: 'the defaults', heartbeatMs: 250, sessionTimeoutMs: 3_000, votersMax: 3, faults: [] },
    { name: 'three heartbeats', heartbeatMs: 100, sessionTimeoutMs: 300, votersMax: 1, faults: [] },
    {
      name: 'fewer',
      heartbeatMs: 100,
      sessionTimeoutMs: 299,
      votersMax: 5,
      faults: ['session-timeout-ms is 299, must be at least three times heartbeat-ms (300)'],
    },
    {
      name: 'two voters',
      heartbeatMs: 100,
      sessionTimeoutMs: 300,
      votersMax: 2,
      faults: ['voters-max is 2, must be 1, 3 or 5'],
    },
  ])('of $name', ({ faults, ...values }) => {
    expect(optionRelationFaults(values)).toEqual(faults);
  });

  it('are reported by a broker', () => {
    expect(() => readConfig([...GIVEN, '--voters-max', '4', '--heartbeat-ms', '2000'], {})).toThrow(
      'config: session-timeout-ms is 3000, must be at least three times heartbeat-ms (6000)\n' +
        'config: voters-max is 4, must be 1, 3 or 5',
    );
  });
});
