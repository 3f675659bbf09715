/**
 * Where the API server is and how to prove who we are.
 *
 * Inside a cluster that is three files, read here. Everything a kubeconfig may hold (exec plugins,
 * OIDC, proxies, client certificates) is left to `@kubernetes/client-node`, which is loaded only
 * then: it costs 0.8 s and 86 MB of memory even for its configuration alone. The image leaves it
 * out, with 80 MB of packages: a kubeconfig is for an operator that runs from a checkout.
 */
import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent, type RequestOptions } from 'node:https';
import { join } from 'node:path';

export interface KubeCredentials {
  readonly server: URL;
  /** The namespace that the credentials name as their own, if any. */
  readonly namespace: string | undefined;
  /**
   * TLS, headers and agent for one request. Asked before each, since tokens and certificates
   * rotate. Rejects when they cannot be read.
   */
  requestOptions(): Promise<RequestOptions>;
}

const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';
/** Idle sockets close before load balancers forget them; TCP probes find a peer that is gone. */
const AGENT_OPTIONS = { keepAlive: true, keepAliveMsecs: 30_000, timeout: 60_000 } as const;

/** No proof at all, over plain HTTP or a TLS that Node trusts: `kubectl proxy` and tests. */
export function anonymousCredentials(server: string): KubeCredentials {
  const url = new URL(server);
  const agent =
    url.protocol === 'https:' ? new HttpsAgent(AGENT_OPTIONS) : new HttpAgent(AGENT_OPTIONS);
  return { server: url, namespace: undefined, requestOptions: async () => ({ agent }) };
}

export interface InClusterOptions {
  /** KUBERNETES_SERVICE_HOST. */
  readonly host: string;
  /** KUBERNETES_SERVICE_PORT. */
  readonly port: string;
  /** Holds `token`, `ca.crt` and `namespace`. */
  readonly folder?: string;
}

/**
 * The service account of this pod. The kubelet renews the token about once an hour, so both files
 * are read for each request.
 */
export async function inClusterCredentials(options: InClusterOptions): Promise<KubeCredentials> {
  const folder = options.folder ?? SERVICE_ACCOUNT_FOLDER;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  const agent = new HttpsAgent(AGENT_OPTIONS);
  return {
    server: new URL(`https://${host}:${options.port}`),
    namespace: (await readFile(join(folder, 'namespace'), 'utf8')).trim(),
    async requestOptions() {
      const [token, ca] = await Promise.all([
        readFile(join(folder, 'token'), 'utf8'),
        readFile(join(folder, 'ca.crt'), 'utf8'),
      ]);
      return { agent, ca, headers: { authorization: `Bearer ${token.trim()}` } };
    },
  };
}

export interface KubeconfigOptions {
  /** One file; absent: KUBECONFIG, then ~/.kube/config. */
  readonly file?: string;
  /** Absent: the current one. */
  readonly context?: string;
}

async function loadClientNode() {
  try {
    return await import('@kubernetes/client-node');
  } catch (error) {
    throw new Error(
      'kubeconfig: the package @kubernetes/client-node, which reads it, is not installed; the image has none: run in a cluster, or from a checkout',
      { cause: error },
    );
  }
}

/** A kubeconfig, as kubectl reads it. Rejects where it names no cluster. */
export async function kubeconfigCredentials(
  options: KubeconfigOptions = {},
): Promise<KubeCredentials> {
  const { KubeConfig } = await loadClientNode();
  const config = new KubeConfig();
  if (options.file === undefined) config.loadFromDefault();
  else config.loadFromFile(options.file);
  if (options.context !== undefined) config.setCurrentContext(options.context);
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new Error(`kubeconfig: context "${config.getCurrentContext()}" names no cluster`);
  }
  const server = new URL(cluster.server);
  const agent =
    server.protocol === 'https:' ? new HttpsAgent(AGENT_OPTIONS) : new HttpAgent(AGENT_OPTIONS);
  const namespace = config.getContextObject(config.getCurrentContext())?.namespace;
  return {
    server,
    namespace,
    async requestOptions() {
      const request: RequestOptions = {};
      await config.applyToHTTPSOptions(request as Parameters<typeof config.applyToHTTPSOptions>[0]);
      // Its agent opens a connection for each request; only a proxy needs that one.
      return cluster.proxyUrl === undefined ? { ...request, agent } : request;
    },
  };
}
