/** etcd, API server, controller manager, scheduler and DNS, all in one network namespace. */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tail } from '../../cluster/harness/child.ts';
import { waitFor, when } from '../../cluster/harness/wait.ts';
import { makeGroup } from './cgroups.ts';
import { startDaemon } from './daemon.ts';
import { kubectl } from './kubectl.ts';
import {
  API_PORT,
  API_URL,
  CONTROL,
  CONTROL_ADDRESS,
  programPath,
  runFile,
  SERVICE_RANGE,
  SERVICE_RANGE_6,
} from './settings.ts';

export const KUBECONFIG_FILE = runFile('kubeconfig');
/**
 * The API server makes its own certificate, and writes the authority that signed it into the same
 * file.
 */
const CERTIFICATE_FILE = runFile('pki', 'apiserver.crt');
const ETCD_URL = 'http://127.0.0.1:2379';
const API_DEADLINE_MS = 90_000;
/**
 * A node that is cut off counts as lost after so long: half of Kubernetes' default, so that a test
 * need not wait for it twice as long.
 */
const NODE_GRACE = '20s';

/** Controllers that would look for a cloud, or give nodes address ranges. */
const CONTROLLERS =
  '*,-nodeipam,-service-lb-controller,-node-route-controller,-cloud-node-lifecycle-controller';

function start(name: string, args: readonly string[], group: string): void {
  startDaemon(programPath(name), args, { netns: CONTROL, group, logFile: runFile(`${name}.log`) });
}

/** Starts the control plane. Resolves when the API server answers. */
export async function startControlPlane(): Promise<void> {
  const group = makeGroup(CONTROL);
  mkdirSync(runFile('pki'), { recursive: true });
  const token = randomUUID();
  writeKeys();
  writeFileSync(runFile('tokens.csv'), `${token},admin,admin,"system:masters"\n`, { mode: 0o600 });
  start('etcd', etcdArgs(), group);
  start('kube-apiserver', apiServerArgs(), group);
  await waitFor('the API server', () => readFileSync(CERTIFICATE_FILE), { context: apiLog });
  writeKubeconfig(token);
  const look = async (): Promise<true | undefined> =>
    when((await kubectl(['get', '--raw', '/readyz'])).startsWith('ok'));
  await waitFor('the API server to be ready', look, {
    deadlineMs: API_DEADLINE_MS,
    context: apiLog,
  });
  start('kube-controller-manager', controllerArgs(), group);
  start('kube-scheduler', [`--kubeconfig=${KUBECONFIG_FILE}`, '--leader-elect=false'], group);
  writeFileSync(runFile('Corefile'), corefile());
  start('coredns', ['-conf', runFile('Corefile')], group);
}

function apiLog(): string {
  return tail(runFile('kube-apiserver.log'));
}

function writeKeys(): void {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const mode = { mode: 0o600 };
  writeFileSync(
    runFile('pki', 'sa.key'),
    privateKey.export({ type: 'pkcs1', format: 'pem' }),
    mode,
  );
  writeFileSync(runFile('pki', 'sa.pub'), publicKey.export({ type: 'spki', format: 'pem' }), mode);
}

function writeKubeconfig(token: string): void {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'test', cluster: { server: API_URL, 'certificate-authority': CERTIFICATE_FILE } },
    ],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  };
  writeFileSync(KUBECONFIG_FILE, JSON.stringify(config), { mode: 0o600 });
}

function etcdArgs(): string[] {
  return [
    `--data-dir=${runFile('etcd')}`,
    // The cluster dies with the machine, so nothing has to survive it; syncing would take the disk
    // from the brokers.
    '--unsafe-no-fsync',
    `--listen-client-urls=${ETCD_URL}`,
    `--advertise-client-urls=${ETCD_URL}`,
    '--listen-peer-urls=http://127.0.0.1:2380',
    '--log-level=error',
  ];
}

function apiServerArgs(): string[] {
  return [
    `--etcd-servers=${ETCD_URL}`,
    `--secure-port=${API_PORT}`,
    `--bind-address=${CONTROL_ADDRESS}`,
    `--advertise-address=${CONTROL_ADDRESS}`,
    `--cert-dir=${runFile('pki')}`,
    `--service-cluster-ip-range=${SERVICE_RANGE},${SERVICE_RANGE_6}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-signing-key-file=${runFile('pki', 'sa.key')}`,
    `--service-account-key-file=${runFile('pki', 'sa.pub')}`,
    `--token-auth-file=${runFile('tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--kubelet-preferred-address-types=InternalIP',
  ];
}

function controllerArgs(): string[] {
  return [
    `--kubeconfig=${KUBECONFIG_FILE}`,
    `--service-account-private-key-file=${runFile('pki', 'sa.key')}`,
    `--root-ca-file=${CERTIFICATE_FILE}`,
    '--leader-elect=false',
    `--controllers=${CONTROLLERS}`,
    `--node-monitor-grace-period=${NODE_GRACE}`,
  ];
}

function corefile(): string {
  return `.:53 {
  bind ${CONTROL_ADDRESS}
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${KUBECONFIG_FILE} test
    ttl 5
  }
  cache 5
}
`;
}
