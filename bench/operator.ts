/**
 * What the operator itself costs: its real process against a real API server (etcd and
 * kube-apiserver as the tests on Kubernetes build them, on loopback), with the StatefulSet
 * controller and no kubelet. Pods are therefore made and never run: clusters stay unformed, caches
 * hold all their objects, and every pass is that of a cluster that is being formed, which is the
 * busiest kind at rest.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep } from './local-cluster.ts';

const PROGRAMS =
  process.env['TIDEMARK_KUBE_BIN'] ?? join(homedir(), '.cache', 'tidemark-kube', 'bin');
const ROOT = join(import.meta.dirname, '..');
const ETCD_PORT = 19_790;
const PEER_PORT = 19_791;
const API_PORT = 19_792;
const CONTROLLER_PORT = 19_793;
const OPERATOR_PORT = 19_794;
const STEADY_MS = 120_000;
const START_MS_MAX = 180_000;

export interface OperatorCost {
  readonly clusters: number;
  /** Resident, at the end of the steady time. */
  readonly megabytes: number;
  readonly requestsPerMinute: number;
  /** Share of one core. */
  readonly processorShare: number;
}

/** Measures with each number of LogClusters in turn. Rejects where the programs were not built. */
export async function measureOperator(numbers: readonly number[]): Promise<OperatorCost[]> {
  const place = new ControlPlane();
  try {
    await place.start();
    const costs: OperatorCost[] = [];
    for (const clusters of numbers) {
      await place.makeClusters(clusters);
      costs.push(await measure(place, clusters));
    }
    return costs;
  } finally {
    await place.stop();
  }
}

async function measure(place: ControlPlane, clusters: number): Promise<OperatorCost> {
  const operator = place.run(process.execPath, [join(ROOT, 'operator', 'main.ts')], {
    POD_NAME: `operator-${clusters}`,
    POD_NAMESPACE: 'default',
    TIDEMARK_LEASE_NAME: `operator-${clusters}`,
    TIDEMARK_BROKER_IMAGE: 'tidemark:bench',
    TIDEMARK_HTTP_PORT: String(OPERATOR_PORT),
    TIDEMARK_LOG_LEVEL: 'warn',
    KUBECONFIG: place.kubeconfig,
  });
  await eventually('the operator to have seen every cluster', async () => {
    const seen = /^tidemark_operator_reconcile_last_success_timestamp_seconds[{]/gm;
    const text = await pageOf('metrics');
    const isLeading = /^tidemark_operator_leader 1$/m.test(text);
    return isLeading && (text.match(seen) ?? []).length === clusters;
  });
  // Until the last StatefulSet has its pods.
  await sleep(STEADY_MS / 2);
  const before = await pageOf('metrics');
  await sleep(STEADY_MS);
  const after = await pageOf('metrics');
  await end(operator);
  const grown = (name: string): number => total(after, name) - total(before, name);
  return {
    clusters,
    megabytes: total(after, 'process_resident_memory_bytes') / 1e6,
    requestsPerMinute: grown('tidemark_operator_api_requests_total') / (STEADY_MS / 60_000),
    processorShare: grown('process_cpu_seconds_total') / (STEADY_MS / 1_000),
  };
}

async function pageOf(page: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${OPERATOR_PORT}/${page}`);
  return response.text();
}

/** Sum over all label sets of a metric. */
function total(text: string, name: string): number {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + START_MS_MAX;
  while (!(await holds().catch(() => false))) {
    if (performance.now() > endMs) throw new Error(`waited ${START_MS_MAX} ms for ${what}`);
    await sleep(500);
  }
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}

class ControlPlane {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tidemark-bench-operator-'));
  readonly #children: ChildProcess[] = [];
  readonly #token = randomUUID();
  readonly kubeconfig = join(this.#folder, 'kubeconfig');

  run(
    program: string,
    args: readonly string[],
    environment: Record<string, string> = {},
  ): ChildProcess {
    const log = openSync(join(this.#folder, `${this.#children.length}.log`), 'a');
    const child = spawn(program, args, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', log, log],
    });
    this.#children.push(child);
    return child;
  }

  async start(): Promise<void> {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.#write('sa.key', privateKey.export({ type: 'pkcs1', format: 'pem' }));
    this.#write('sa.pub', publicKey.export({ type: 'spki', format: 'pem' }));
    this.#write('tokens.csv', `${this.#token},admin,admin,"system:masters"\n`);
    const etcd = `http://127.0.0.1:${ETCD_PORT}`;
    const peers = `http://127.0.0.1:${PEER_PORT}`;
    this.run(join(PROGRAMS, 'etcd'), [
      `--data-dir=${join(this.#folder, 'etcd')}`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${etcd}`,
      `--advertise-client-urls=${etcd}`,
      `--listen-peer-urls=${peers}`,
      `--initial-advertise-peer-urls=${peers}`,
      `--initial-cluster=default=${peers}`,
      '--log-level=error',
    ]);
    this.run(join(PROGRAMS, 'kube-apiserver'), [
      `--etcd-servers=${etcd}`,
      `--secure-port=${API_PORT}`,
      '--bind-address=127.0.0.1',
      `--cert-dir=${this.#folder}`,
      '--service-cluster-ip-range=198.19.96.0/24',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-signing-key-file=${join(this.#folder, 'sa.key')}`,
      `--service-account-key-file=${join(this.#folder, 'sa.pub')}`,
      `--token-auth-file=${join(this.#folder, 'tokens.csv')}`,
      '--authorization-mode=RBAC',
    ]);
    const authority = join(this.#folder, 'apiserver.crt');
    await eventually('the certificate', async () => readFileSync(authority).length > 0);
    this.#write('kubeconfig', kubeconfigOf(authority, this.#token));
    await eventually(
      'the API server',
      async () => (await this.#kubectl(['get', '--raw', '/readyz'])) === 0,
    );
    this.run(join(PROGRAMS, 'kube-controller-manager'), [
      `--kubeconfig=${this.kubeconfig}`,
      '--leader-elect=false',
      '--controllers=statefulset',
      `--secure-port=${CONTROLLER_PORT}`,
      '--bind-address=127.0.0.1',
    ]);
    // Pods are admitted with the account of their namespace, which another controller would make.
    await this.#apply(
      'serviceaccount.yaml',
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: 'default', namespace: 'default' },
      }),
    );
    await this.#must(['apply', '--server-side', '-f', join(ROOT, 'crds')]);
    await this.#must(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']);
  }

  /** As many as there are to be, with those there are. */
  async makeClusters(count: number): Promise<void> {
    const items = Array.from({ length: count }, (_, index) => ({
      apiVersion: 'tidemark.dev/v1alpha1',
      kind: 'LogCluster',
      metadata: { name: `bench-${index}`, namespace: 'default' },
      spec: { replicas: 3, storage: { size: '10Gi' } },
    }));
    if (count > 0)
      await this.#apply('clusters.json', JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  }

  async stop(): Promise<void> {
    for (const child of this.#children.toReversed()) await end(child);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #write(name: string, text: string | Buffer): void {
    writeFileSync(join(this.#folder, name), text, { mode: 0o600 });
  }

  async #apply(name: string, text: string): Promise<void> {
    this.#write(name, text);
    await this.#must(['apply', '--server-side', '-f', join(this.#folder, name)]);
  }

  async #must(args: readonly string[]): Promise<void> {
    const code = await this.#kubectl(args);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${code}`);
  }

  #kubectl(args: readonly string[]): Promise<number> {
    const child = this.run(join(PROGRAMS, 'kubectl'), args, { KUBECONFIG: this.kubeconfig });
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => resolve(code ?? 1));
    });
  }
}

function kubeconfigOf(authority: string, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'bench',
        cluster: { server: `https://127.0.0.1:${API_PORT}`, 'certificate-authority': authority },
      },
    ],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'admin' } }],
    'current-context': 'bench',
  });
}
