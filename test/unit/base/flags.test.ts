import { describe, expect, it } from 'vitest';
import { readFlags } from '../../../base/flags.ts';

const KNOWN = { values: ['id', 'data'], switches: ['help'] };

describe('flags', () => {
  it('are read in both forms, with any value, and switches without one', () => {
    const { values, switches, faults } = readFlags(
      ['--id', '1', '--data=/a=b', '--help', '--id', '-2'],
      KNOWN,
    );
    expect([...values]).toEqual([
      ['id', '-2'],
      ['data', '/a=b'],
    ]);
    expect([...switches]).toEqual(['help']);
    expect(faults).toEqual([]);
  });

  it('tell every fault, and keep what was right', () => {
    const { values, faults } = readFlags(
      ['--sessions', '9', 'stray', '--id', '--help=yes', '--data', '/d', '--verbose'],
      KNOWN,
    );
    expect([...values]).toEqual([['data', '/d']]);
    expect(faults).toEqual([
      '--sessions is not an option, must be one of --id, --data, --help',
      "'stray' belongs to no option, every value must follow its --option",
      '--id has no value',
      "--help is 'yes', must stand without a value",
      '--verbose is not an option, must be one of --id, --data, --help',
    ]);
  });

  it('may be empty where that was written', () => {
    expect(readFlags(['--data=', '--id', ''], KNOWN).values).toEqual(
      new Map([
        ['data', ''],
        ['id', ''],
      ]),
    );
  });

  it.each(['--', '-x', '--=1', '---id', '--__proto__', '--constructor=1'])('%j is none', (word) => {
    const { values, faults } = readFlags([word], KNOWN);
    expect(values.size).toBe(0);
    expect(faults).toHaveLength(1);
  });
});
