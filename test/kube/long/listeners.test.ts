/**
 * Clients outside the pod network: at ports of the nodes, and behind load balancers that get their
 * addresses late. They run on a machine beside the nodes, which reaches no pod and no Service of
 * the cluster's own.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from '../../cluster/harness/child.ts';
import { when } from '../../cluster/harness/wait.ts';
import { type KubeObject, useKube } from '../harness.ts';
import { plugInOutside, routeOutside, runOutside, unrouteOutside } from '../launcher/network.ts';
import type { RunResult } from '../launcher/run.ts';
import { NODES } from '../launcher/settings.ts';
import { OperatedCluster } from '../operated.ts';

const BROKERS = [0, 1, 2];
const RECORDS = 30;
const AUTHORITY = 'log-brokers-ca-cert';
/** Of nobody else in the cluster's network. */
const balancer = (number: number): string => `198.19.98.${number}`;

const AT_NODES = {
  ...{ name: 'nodes', port: 9_651, type: 'NodePort', tls: { mode: 'Enabled' }, auth: {} },
  ...{ advertisedHost: NODES[0]!.address, bootstrapHost: NODES[0]!.address },
  // Each by another node, wherever it runs.
  brokers: BROKERS.map((broker) => ({ broker, host: NODES[broker]!.address })),
};
const BALANCED = {
  ...{ name: 'outside', port: 9_652, type: 'LoadBalancer', tls: { mode: 'Enabled' } },
  auth: { methods: ['token'], tokensSecretName: 'tokens' },
};

interface Secret extends KubeObject {
  readonly data: Readonly<Record<string, string>>;
}

interface SelfTest {
  readonly brokers: readonly {
    readonly brokerId: number;
    readonly address: string;
    readonly records: number;
    readonly error?: string;
  }[];
  readonly recordsSame: number;
}

describe('clients outside the cluster', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-outside-'));
  const token = randomBytes(32).toString('base64url');
  const files = { ca: join(folder, 'ca.crt'), token: join(folder, 'token') };
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const scene = useKube(
    async (kube) => {
      const digest = createHash('sha256').update(token).digest('hex');
      writeFileSync(files.token, token);
      await plugInOutside();
      await kube.apply({
        ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'tokens' } },
        stringData: { tokens: `outside ${digest}\n` },
      });
      const cluster = new OperatedCluster(kube);
      const auth = { administrators: ['token:outside'] };
      await cluster.start({ listeners: [AT_NODES], auth });
      const { data } = await kube.get<Secret>('secret', AUTHORITY);
      writeFileSync(files.ca, Buffer.from(data['ca.crt'] ?? '', 'base64'));
      return { kube, cluster };
    },
    { needs: 'launched' },
  );

  /** The command, on the machine outside. */
  function tidemark(server: string, ...args: readonly string[]): Promise<RunResult> {
    const connection = ['--server', server, '--tls-ca', files.ca, '--output', 'json'];
    const program = join(ROOT, 'client', 'cli', 'main.ts');
    return runOutside([process.execPath, program, ...args, ...connection]);
  }

  async function selfTest(server: string, ...args: readonly string[]): Promise<SelfTest> {
    const { stdout, stderr } = await tidemark(
      server,
      ...['self-test', '--records', `${RECORDS}`, ...args],
    );
    expect(stderr).toBe('');
    return JSON.parse(stdout) as SelfTest;
  }

  /** Resolves once every broker tells its clients of the listener where it is. */
  async function waitTold(name: string): Promise<{ bootstrap: string; brokers: string[] }> {
    const { cluster } = scene();
    const { listeners = [] } = await cluster.waitStatus(
      `brokers to tell where they are, at ${name}`,
      ({ listeners: told = [] }) => {
        const of = told.find((each) => each.name === name);
        return (
          of?.bootstrap !== undefined &&
          of.brokers.length === BROKERS.length &&
          of.brokers.every(({ advertised }) => advertised)
        );
      },
    );
    const of = listeners.find((each) => each.name === name);
    const brokers = of?.brokers.map(({ address = '' }) => address) ?? [];
    return { bootstrap: of?.bootstrap ?? '', brokers };
  }

  it('append to every broker, and read from it, at ports of the nodes', async () => {
    const { bootstrap, brokers } = await waitTold('nodes');
    const found = await selfTest(bootstrap);
    expect(found.brokers.map(({ address, records, error }) => [address, records, error])).toEqual(
      brokers.map((address) => [address, RECORDS, undefined]),
    );
    expect(found.recordsSame).toBe(RECORDS * BROKERS.length);
    expect(new Set(brokers).size).toBe(BROKERS.length);
  });

  it('are sent to load balancers once these have addresses, which restart no broker', async () => {
    const { kube, cluster } = scene();
    const before = await cluster.podUids();
    await cluster.change({ listeners: [AT_NODES, BALANCED] });
    await cluster.waitReady();
    const pods = await cluster.podUids();
    expect(pods.filter((uid) => before.includes(uid))).toEqual([]);
    const services = ['log-outside', ...BROKERS.map((id) => `log-outside-${id}`)];
    for (const [number, service] of services.entries()) {
      await routeOutside(balancer(number), NODES[number % NODES.length]!);
      const ingress = [{ ip: balancer(number) }];
      const patch = JSON.stringify({ status: { loadBalancer: { ingress } } });
      const how = ['--subresource=status', '--type=merge', `--patch=${patch}`];
      await kube.kubectl('patch', 'service', service, ...how);
    }
    const { bootstrap, brokers } = await waitTold('outside');
    expect(bootstrap).toBe(`${balancer(0)}:9652`);
    expect(brokers).toEqual(BROKERS.map((id) => `${balancer(id + 1)}:9652`));
    expect(await cluster.podUids()).toEqual(pods);
    const found = await selfTest(bootstrap, '--token-file', files.token);
    expect(found.brokers.map(({ address, records }) => [address, records])).toEqual(
      brokers.map((address) => [address, RECORDS]),
    );
    expect(found.recordsSame).toBe(RECORDS * BROKERS.length);
    // Without what this listener asks for, though another one asks nobody.
    const stranger = await tidemark(bootstrap, 'topic', 'list');
    expect(`${stranger.stdout}${stranger.stderr}`).toContain('UNAUTHENTICATED');
  });

  it('need one load balancer alone for plain calls, and for consumers of a queue', async () => {
    const { bootstrap } = await waitTold('outside');
    for (const id of BROKERS) await unrouteOutside(balancer(id + 1));
    const lines = Array.from({ length: 60 }, (_, index) => `line ${index}`);
    const file = join(folder, 'lines');
    writeFileSync(file, `${lines.join('\n')}\n`);
    const run = async (...args: readonly string[]): Promise<string[]> => {
      const { code, stdout, stderr } = await tidemark(
        bootstrap,
        ...args,
        '--token-file',
        files.token,
      );
      expect([code, stderr]).toEqual([0, expect.any(String)]);
      return stdout.trimEnd().split('\n');
    };
    await run('topic', 'create', 'alone', '--partitions', '6');
    await run('append', 'alone', file, '--plain');
    const raw = ['--format', 'raw'];
    expect((await run('read', 'alone', '--plain', ...raw)).sort()).toEqual(lines.toSorted());
    await run('queue', 'create', 'alone', 'alone');
    expect((await run('read', '--queue', 'alone', ...raw)).sort()).toEqual(lines.toSorted());
  });

  it('find nothing any more where a listener was', async () => {
    const { kube, cluster } = scene();
    await cluster.change({ listeners: [AT_NODES] });
    await cluster.waitReady();
    await kube.wait('the Services of the listener to be gone', async (note) => {
      const names = await kube.kubectl('get', 'services', '-o', 'name');
      note(names);
      return when(!names.includes('outside'));
    });
    const { bootstrap } = await waitTold('nodes');
    expect((await selfTest(bootstrap)).recordsSame).toBe(RECORDS * BROKERS.length);
  });
});
