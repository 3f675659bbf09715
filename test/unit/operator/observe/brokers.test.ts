import { Metadata, status as Status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import { askBroker } from '../../../../operator/observe/brokers.ts';
import { errorFromStatus } from '../../../../wire/grpc/errors.ts';

function transport(code: Status, details: string): BrokerError {
  return errorFromStatus({ code, details, metadata: new Metadata() });
}

describe('askBroker', () => {
  test.each([
    [
      'without a connection',
      transport(
        Status.UNAVAILABLE,
        'No connection established. Last error: connect ECONNREFUSED 198.19.65.7:9641',
      ),
      'no connection',
    ],
    [
      'in vain',
      transport(Status.DEADLINE_EXCEEDED, 'Deadline exceeded after 3.001s'),
      'no answer within 3 s',
    ],
    [
      'that refuses',
      new BrokerError('BROKER_NOT_READY', 'it recovers its logs'),
      'it recovers its logs',
    ],
    ['that breaks', new Error('broken'), 'broken'],
  ])('a broker %s: says why, in words', async (_, error, fault) => {
    const admin = { call: () => Promise.reject(error) };
    const asked = { brokerId: 2, address: '198.19.65.7:9641' };
    const { answer, cluster } = await askBroker(admin, asked, new AbortController().signal);
    expect([answer.brokerId, answer.fault, cluster]).toEqual([2, fault, null]);
  });

  test.each([
    ['', 'Plaintext'],
    ['allow', 'Allow'],
    ['prefer', 'Prefer'],
    ['require', 'Require'],
    ['something newer', null],
    [null, null],
  ])('a broker whose internal-tls-mode is %j is in phase %s', async (value, phase) => {
    const options = value === null ? [] : [{ name: 'internal-tls-mode', value }];
    const said = { brokerId: 2, brokerEpoch: 7, version: '1', freeBytes: 1, replicas: [], options };
    const admin = { call: () => Promise.resolve({ ...said, clusterId: 'c' } as never) };
    const asked = { brokerId: 2, address: '198.19.65.7:9643' };
    const { answer } = await askBroker(admin, asked, new AbortController().signal);
    expect(answer.tlsPhase).toBe(phase);
  });

  test('a broker without an address is not asked', async () => {
    const admin = { call: () => Promise.reject(new Error('asked')) };
    const asked = { brokerId: 2, address: null };
    const { answer } = await askBroker(admin, asked, new AbortController().signal);
    expect(answer.fault).toBe('its pod has no address yet');
  });
});
