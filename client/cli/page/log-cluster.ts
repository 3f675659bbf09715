/**
 * One LogCluster, read from Kubernetes with the token of this pod's account: what the page shows of
 * it. The command has no Kubernetes client; this is one GET.
 */
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { reasonOf } from '../../../base/reason.ts';
import type { ConditionSeen, LogClusterSeen } from '../../../page/snapshot.ts';

/** Where a pod finds what it needs, as Kubernetes documents it. */
const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
const ANSWER_MS_MAX = 2_000;
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const CONDITIONS_MAX = 32;
const WORDS_LENGTH_MAX = 2_000;

/** Where the API server is, and who asks. */
export interface ApiServer {
  /** `https://host:port` */
  readonly url: string;
  /** Read before each request: Kubernetes renews the token. */
  readonly token: () => Promise<string>;
  /** Authority of the server, as PEM. */
  readonly ca: () => Promise<string>;
}

/** Of the pod that this runs in; null outside of one. */
export function apiServerOfPod(
  env: Readonly<Record<string, string | undefined>>,
): ApiServer | null {
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '443' } = env;
  if (host === '') return null;
  return {
    url: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    token: async () => (await readFile(`${ACCOUNT}/token`, 'utf8')).trim(),
    ca: () => readFile(`${ACCOUNT}/ca.crt`, 'utf8'),
  };
}

/** Reads it; what cannot be read is told as `fault`. Never rejects. */
export async function readLogCluster(
  api: ApiServer,
  namespace: string,
  name: string,
): Promise<LogClusterSeen> {
  const nothing = { name, namespace, conditions: [], step: '', waitingFor: '', durability: '' };
  try {
    const path = `/apis/tidemark.dev/v1alpha1/namespaces/${namespace}/logclusters/${name}`;
    return { ...nothing, fault: '', ...statusOf(JSON.parse(await get(api, path))) };
  } catch (error) {
    return { ...nothing, fault: reasonOf(error) };
  }
}

/** What the page shows of a LogCluster's status, whatever came. Pure. */
export function statusOf(
  value: unknown,
): Pick<LogClusterSeen, 'conditions' | 'step' | 'waitingFor' | 'durability'> {
  const status = fieldsOf(fieldsOf(value)['status']);
  const { conditions } = status;
  const listed: unknown[] = Array.isArray(conditions) ? conditions : [];
  return {
    conditions: listed.slice(0, CONDITIONS_MAX).map((one): ConditionSeen => {
      const { type, status: state, reason, message, lastTransitionTime } = fieldsOf(one);
      return {
        type: words(type),
        status: words(state),
        reason: words(reason),
        message: words(message),
        since: words(lastTransitionTime),
      };
    }),
    step: words(status['step']),
    waitingFor: words(status['waitingFor']),
    durability: words(status['durability']),
  };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function words(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, WORDS_LENGTH_MAX) : '';
}

async function get({ url, token, ca }: ApiServer, path: string): Promise<string> {
  const headers = { authorization: `Bearer ${await token()}`, accept: 'application/json' };
  const options = { ca: await ca(), headers, signal: AbortSignal.timeout(ANSWER_MS_MAX) };
  return new Promise((resolve, reject) => {
    const sent = request(new URL(path, url), options, (response) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      response.on('data', (part: Buffer) => {
        bytes += part.length;
        parts.push(part);
        if (bytes > ANSWER_BYTES_MAX) sent.destroy(new Error('the answer is too long'));
      });
      response.once('error', reject);
      response.once('end', () => {
        const { statusCode = 0 } = response;
        if (statusCode === 200) resolve(Buffer.concat(parts).toString());
        else
          reject(new Error(`Kubernetes answers ${statusCode}: may this account get logclusters?`));
      });
    });
    sent.once('error', reject);
    sent.end();
  });
}
