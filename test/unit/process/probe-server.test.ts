import { networkInterfaces } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostPort } from '../../../base/host-port.ts';
import { ProbeServer } from '../../../process/probe-server.ts';

let isAlive: boolean;
let isReady: boolean;
let metrics: () => Promise<string>;
let server: ProbeServer;
let url: string;
beforeEach(async () => {
  isAlive = true;
  isReady = true;
  metrics = () => Promise.resolve('m 1\n');
  server = new ProbeServer({
    whyDead: () => (isAlive ? null : 'a pass is stuck'),
    whyNotReady: () => (isReady ? null : 'caches are not filled'),
    metrics: () => metrics(),
    metricsContentType: 'text/x',
  });
  url = `http://127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
});
afterEach(() => server.close());

async function got(path: string, init: RequestInit = {}): Promise<string> {
  const response = await fetch(url + path, init);
  return `${response.status} ${(await response.text()).trim()}`;
}

describe('ProbeServer', () => {
  it('says whether it is alive and ready, apart', async () => {
    expect([await got('/livez'), await got('/readyz')]).toEqual(['200 ok', '200 ok']);
    isReady = false;
    expect([await got('/livez'), await got('/readyz?verbose')]).toEqual([
      '200 ok',
      '503 caches are not filled',
    ]);
    isAlive = false;
    expect(await got('/livez')).toBe('503 a pass is stuck');
  });

  it('is reached by addresses of both families at ::, as far as the machine has them', async () => {
    const everywhere = new ProbeServer({
      whyDead: () => null,
      whyNotReady: () => null,
      metrics: () => metrics(),
      metricsContentType: 'text/x',
    });
    const port = await everywhere.listen('::', 0);
    const addresses = Object.values(networkInterfaces()).flat();
    const hosts = ['127.0.0.1', '::1'].filter((host) =>
      addresses.some((each) => each?.address === host),
    );
    const found = hosts.map(
      async (host) => (await fetch(`http://${hostPort(host, port)}/livez`)).status,
    );
    expect(await Promise.all(found)).toEqual(hosts.map(() => 200));
    await everywhere.close();
  });

  it('shows metrics, or why not', async () => {
    expect(await got('/metrics')).toBe('200 m 1');
    expect((await fetch(`${url}/metrics`)).headers.get('content-type')).toBe('text/x');
    metrics = () => Promise.reject(new Error('broken gauge'));
    expect(await got('/metrics')).toBe('500 broken gauge');
  });

  it('says no to a kubelet only where that lasts, and nothing of a stop', async () => {
    isReady = false;
    const [kubelet, other] = [got('/readyz?pod'), got('/readyz')];
    expect(await other).toBe('503 caches are not filled');
    isReady = true;
    expect(await kubelet).toBe('200 ok');
    const stopping = new ProbeServer({
      whyDead: () => null,
      whyNotReady: () => 'stopping',
      whyNotReadyInPod: () => null,
      metrics: () => metrics(),
      metricsContentType: '',
    });
    url = `http://127.0.0.1:${await stopping.listen('127.0.0.1', 0)}`;
    try {
      expect([await got('/readyz'), await got('/readyz?pod')]).toEqual(['503 stopping', '200 ok']);
    } finally {
      await stopping.close();
    }
  });

  it('says no to a kubelet in the end', async () => {
    const pages = { whyDead: () => null, metrics: () => metrics(), metricsContentType: '' };
    const starting = new ProbeServer({ ...pages, whyNotReady: () => 'recovering' }, 100);
    url = `http://127.0.0.1:${await starting.listen('127.0.0.1', 0)}`;
    try {
      expect(await got('/readyz?pod')).toBe('503 recovering');
    } finally {
      await starting.close();
    }
  });

  it('lets whoever asks for leave to stop wait, and no more than a few', async () => {
    let mayStop = (): void => undefined;
    const stop = new Promise<void>((resolve) => {
      mayStop = resolve;
    });
    let asked = 0;
    const gated = new ProbeServer({
      whyDead: () => null,
      whyNotReady: () => null,
      metrics: () => metrics(),
      metricsContentType: '',
      whenMayStop: () => {
        asked += 1;
        return stop;
      },
    });
    const port = await gated.listen('127.0.0.1', 0);
    try {
      const page = `http://127.0.0.1:${port}/may-stop`;
      const all = Array.from({ length: 9 }, () => fetch(page).then(({ status }) => status));
      expect(await Promise.race(all)).toBe(503);
      mayStop();
      expect((await Promise.all(all)).sort()).toEqual([...Array<number>(8).fill(200), 503]);
      expect(asked).toBe(8);
      expect((await fetch(page)).status).toBe(200);
    } finally {
      await gated.close();
    }
  });

  it('knows nothing else', async () => {
    expect(await got('/')).toBe('404 /livez, /readyz, /metrics');
    expect(await got('/may-stop')).toBe('404 /livez, /readyz, /metrics');
    expect(await got('/livez', { method: 'POST' })).toBe('405 only GET');
  });

  it('rejects a port that is taken', async () => {
    const second = new ProbeServer({
      whyDead: () => null,
      whyNotReady: () => null,
      metrics: () => metrics(),
      metricsContentType: '',
    });
    await expect(second.listen('127.0.0.1', Number(new URL(url).port))).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
  });
});
