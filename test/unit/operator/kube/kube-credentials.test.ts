import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { KubeClient } from '../../../../operator/kube/kube-client.ts';
import {
  anonymousCredentials,
  inClusterCredentials,
  type KubeCredentials,
  kubeconfigCredentials,
} from '../../../../operator/kube/kube-credentials.ts';
import { HttpTransport } from '../../../../operator/kube/kube-transport.ts';
import { ApiServer } from '../../../fixtures/kube/api-server.ts';
import { CONFIG_MAP, object } from '../../../fixtures/kube/objects.ts';
import { CERTIFICATE, PRIVATE_KEY } from '../../../fixtures/kube/certificate.ts';

const A = { namespace: 'default', name: 'a' };

let folder: string | undefined;
let server: Server;
let seen: (string | undefined)[];
beforeAll(async () => {
  server = createServer({ cert: CERTIFICATE, key: PRIVATE_KEY }, (request, response) => {
    seen.push(request.headers.authorization);
    response.end(JSON.stringify(object(CONFIG_MAP, 'a')));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
afterEach(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  folder = undefined;
});

function files(contents: Readonly<Record<string, string>>): string {
  const made = mkdtempSync(join(tmpdir(), 'tidemark-credentials-'));
  folder = made;
  for (const [name, text] of Object.entries(contents)) writeFileSync(join(made, name), text);
  seen = [];
  return made;
}

function port(): string {
  return String((server.address() as AddressInfo).port);
}

function client(credentials: KubeCredentials): KubeClient {
  return new KubeClient({ transport: new HttpTransport(credentials, 'x'), fieldManager: 'x' });
}

describe('inClusterCredentials', () => {
  it('trusts the cluster, names its namespace, and reads the token again when it changed', async () => {
    const account = files({ token: 'first\n', 'ca.crt': CERTIFICATE, namespace: 'ns\n' });
    const credentials = await inClusterCredentials({
      host: '127.0.0.1',
      port: port(),
      folder: account,
    });
    expect(credentials.namespace).toBe('ns');
    const inside = client(credentials);
    await inside.get(CONFIG_MAP, A);
    writeFileSync(join(account, 'token'), 'second');
    await inside.get(CONFIG_MAP, A);
    expect(seen).toEqual(['Bearer first', 'Bearer second']);
  });

  it('puts an IPv6 host into brackets', async () => {
    const account = files({ namespace: 'ns' });
    expect(
      (await inClusterCredentials({ host: 'fd00::1', port: '443', folder: account })).server.href,
    ).toBe('https://[fd00::1]/');
  });

  it('reports a token that cannot be read as a failure of the call', async () => {
    const account = files({ 'ca.crt': CERTIFICATE, namespace: 'ns' });
    const credentials = await inClusterCredentials({
      host: '127.0.0.1',
      port: port(),
      folder: account,
    });
    await expect(client(credentials).get(CONFIG_MAP, A)).rejects.toMatchObject({
      reason: 'Unreachable',
    });
  });
});

describe('anonymousCredentials', () => {
  it('does not trust a server of unknown make', async () => {
    files({});
    await expect(
      client(anonymousCredentials(`https://127.0.0.1:${port()}`)).get(CONFIG_MAP, A),
    ).rejects.toThrow(/self.signed/);
    expect(seen).toEqual([]);
  });
});

describe('kubeconfigCredentials', () => {
  const config = (url: string, cluster: object, user: object): string =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'one',
      clusters: [{ name: 'c', cluster: { server: url, ...cluster } }],
      users: [{ name: 'u', user }],
      contexts: [
        { name: 'one', context: { cluster: 'c', user: 'u', namespace: 'team' } },
        { name: 'broken', context: { cluster: 'missing', user: 'u' } },
      ],
    });

  it('takes server, trust, token and namespace from the file', async () => {
    const text = config(
      `https://127.0.0.1:${port()}`,
      { 'certificate-authority-data': Buffer.from(CERTIFICATE).toString('base64') },
      { token: 'secret' },
    );
    const credentials = await kubeconfigCredentials({
      file: join(files({ config: text }), 'config'),
    });
    expect(credentials.namespace).toBe('team');
    await client(credentials).get(CONFIG_MAP, A);
    expect(seen).toEqual(['Bearer secret']);
  });

  it('speaks plain HTTP where the file says not to verify', async () => {
    const api = await ApiServer.start();
    const text = config(api.url, { 'insecure-skip-tls-verify': true }, {});
    const credentials = await kubeconfigCredentials({
      file: join(files({ config: text }), 'config'),
    });
    const plain = client(credentials);
    await plain.get(CONFIG_MAP, A);
    await plain.get(CONFIG_MAP, A);
    expect(api.connections).toBe(1);
    await api.close();
  });

  it('refuses a context without a cluster', async () => {
    const file = join(files({ config: config('https://x', {}, {}) }), 'config');
    await expect(kubeconfigCredentials({ file, context: 'broken' })).rejects.toThrow(
      'kubeconfig: context "broken" names no cluster',
    );
  });
});

describe('operator', () => {
  it('loads @kubernetes/client-node where a kubeconfig is read and nowhere else: it costs 86 MB', () => {
    const root = join(import.meta.dirname, '../../../../operator');
    const importing = readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .flatMap((path) => readFileSync(join(root, path), 'utf8').split('\n'))
      .filter((line) => /(from|import|import[(])\s*'@kubernetes[/]client-node/.test(line));
    expect(importing.map((line) => line.trim())).toEqual([
      "return await import('@kubernetes/client-node');",
    ]);
  });
});
