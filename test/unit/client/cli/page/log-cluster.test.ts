import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type ApiServer,
  apiServerOfPod,
  readLogCluster,
  statusOf,
} from '../../../../../client/cli/page/log-cluster.ts';
import { newAuthority, newCertificate } from '../../../../../process/certificates.ts';

const STATUS = {
  conditions: [
    {
      ...{ type: 'Available', status: 'True', reason: 'AllServe' },
      ...{ message: 'all partitions serve', lastTransitionTime: '2026-11-30T00:00:00Z' },
    },
  ],
  step: 'restart broker 2',
  waitingFor: 'broker 1 to be in sync',
  durability: 'survives one broker',
};

describe('statusOf()', () => {
  it('takes what the page shows', () => {
    const { conditions, ...rest } = statusOf({ status: STATUS });
    expect(rest).toEqual({
      step: STATUS.step,
      waitingFor: STATUS.waitingFor,
      durability: STATUS.durability,
    });
    expect(conditions).toEqual([
      {
        ...{ type: 'Available', status: 'True', reason: 'AllServe' },
        ...{ message: 'all partitions serve', since: '2026-11-30T00:00:00Z' },
      },
    ]);
  });

  it.for([null, 7, {}, { status: null }, { status: { conditions: 'x', step: 7 } }])(
    'makes nothing of %j',
    (value) => {
      expect(statusOf(value)).toEqual({
        conditions: [],
        ...{ step: '', waitingFor: '', durability: '' },
      });
    },
  );

  it('takes no more than it shows', () => {
    const conditions = Array.from({ length: 99 }, () => ({ message: 'm'.repeat(9_999) }));
    const seen = statusOf({ status: { conditions } });
    expect(seen.conditions).toHaveLength(32);
    expect(seen.conditions[0]?.message).toHaveLength(2_000);
  });
});

describe('apiServerOfPod()', () => {
  it('finds the API server by the variables of a pod, and none elsewhere', () => {
    expect(apiServerOfPod({})).toBeNull();
    expect(apiServerOfPod({ KUBERNETES_SERVICE_HOST: '10.0.0.1' })?.url).toBe(
      'https://10.0.0.1:443',
    );
    const six = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' };
    expect(apiServerOfPod(six)?.url).toBe('https://[fd00::1]:6443');
  });
});

describe('readLogCluster()', () => {
  const authority = newAuthority({ commonName: 'test', days: 1 });
  const terms = { commonName: 'api', days: 1, names: ['127.0.0.1'] };
  const own = newCertificate({ ...authority, commonName: 'test' }, terms);
  let asked: unknown[] = [];
  let server: Server | undefined;
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  async function serve(status: number, body: string): Promise<ApiServer> {
    asked = [];
    server = createServer({ cert: own.cert, key: own.key }, ({ url, headers }, response) => {
      asked.push([url, headers.authorization]);
      response.writeHead(status).end(body);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const ca = () => Promise.resolve(authority.cert);
    return { url: `https://127.0.0.1:${port}`, token: () => Promise.resolve('t1'), ca };
  }

  it('gets it with the token of the account', async () => {
    const api = await serve(200, JSON.stringify({ status: STATUS }));
    const seen = await readLogCluster(api, 'ns', 'orders');
    expect(seen).toMatchObject({ name: 'orders', namespace: 'ns', fault: '', step: STATUS.step });
    const path = '/apis/tidemark.dev/v1alpha1/namespaces/ns/logclusters/orders';
    expect(asked).toEqual([[path, 'Bearer t1']]);
  });

  it.for([
    [403, '{}', 'Kubernetes answers 403: may this account get logclusters?'],
    [200, 'no JSON', 'JSON'],
    [200, ' '.repeat(4 * 1024 * 1024 + 1), 'the answer is too long'],
  ] as const)('tells why it cannot read it: %s', async ([status, body, fault]) => {
    const seen = await readLogCluster(await serve(status, body), 'ns', 'orders');
    expect(seen.fault).toContain(fault);
    expect(seen.conditions).toEqual([]);
  });

  it('trusts only the authority of the pod', async () => {
    const api = await serve(200, '{}');
    const other = newAuthority({ commonName: 'other', days: 1 });
    const ca = () => Promise.resolve(other.cert);
    expect((await readLogCluster({ ...api, ca }, 'ns', 'orders')).fault).not.toBe('');
  });
});
