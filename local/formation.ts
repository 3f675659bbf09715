/**
 * Forms the local cluster, once. Safe to repeat: the brokers are asked what they know first, and
 * the cluster's id is kept beside their data, so that a folder whose brokers all lost their disks
 * is reported, not formed again (docs/rules.md#formation).
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChannelCredentials, Client } from '@grpc/grpc-js';
import { QuorumServiceService } from '../proto/gen/tidemark/internal/v1/quorum.ts';
import type { IdentifyResponse } from '../proto/gen/tidemark/internal/v1/quorum.ts';
import { AdminServiceService } from '../proto/gen/tidemark/v1/admin.ts';
import { callUnary } from '../wire/grpc/calls.ts';
import { dial } from '../wire/grpc/dial.ts';
import { systemClock } from '../process/system-clock.ts';
import type { BrokerSpec } from './processes.ts';

/** What the data folder remembers of its cluster. */
export interface ClusterRecord {
  readonly clusterId: string;
  readonly isBootstrapped: boolean;
}

const ASK_DEADLINE_MS = 1_000;
const ASK_PAUSE_MS = 25;
const FORM_DEADLINE_MS = 60_000;

/** The folder's cluster, with a new id when there is none yet. */
export function readCluster(dataDir: string): ClusterRecord {
  const path = join(dataDir, 'cluster.json');
  if (!existsSync(path)) {
    const record = { clusterId: randomUUID(), isBootstrapped: false };
    writeCluster(dataDir, record);
    return record;
  }
  const record: unknown = JSON.parse(readFileSync(path, 'utf8'));
  if (isClusterRecord(record)) return record;
  throw new Error(
    `${path} is not what this program wrote: it must hold clusterId and isBootstrapped`,
  );
}

/**
 * Resolves once some broker knows the cluster. Rejects when every disk is empty though the folder
 * says otherwise.
 */
export async function formCluster(
  dataDir: string,
  record: ClusterRecord,
  specs: readonly BrokerSpec[],
  credentials?: ChannelCredentials,
): Promise<void> {
  const secure = credentials === undefined ? {} : { credentials };
  const clients = specs.map(({ host, internalPort }) =>
    dial(`${host}:${internalPort}`, { clock: systemClock, ...secure }),
  );
  try {
    const end = Date.now() + FORM_DEADLINE_MS;
    while (Date.now() < end) {
      const answers = await Promise.all(clients.map((client) => ask(client)));
      if (answers.some((answer) => answer?.clusterId === record.clusterId)) {
        writeCluster(dataDir, { ...record, isBootstrapped: true });
        return;
      }
      if (answers.every((answer) => answer?.clusterId === ''))
        await bootstrap(dataDir, record, clients[0]);
      else await new Promise((resolve) => setTimeout(resolve, ASK_PAUSE_MS));
    }
    throw new Error(
      `no broker came up within ${FORM_DEADLINE_MS / 1000} s: see ${join(dataDir, 'logs')}`,
    );
  } finally {
    for (const client of clients) client.close();
  }
}

async function ask(client: Client): Promise<IdentifyResponse | null> {
  try {
    return await callUnary(
      client,
      QuorumServiceService.identify,
      {},
      { deadlineMs: ASK_DEADLINE_MS, clock: systemClock },
    );
  } catch {
    // It is starting, or down: the next round asks again.
    return null;
  }
}

async function bootstrap(
  dataDir: string,
  record: ClusterRecord,
  client: Client | undefined,
): Promise<void> {
  if (record.isBootstrapped) {
    throw new Error(
      `cluster ${record.clusterId} was formed in ${dataDir}, but every broker's disk is empty: its records are gone. Remove the folder to begin anew`,
    );
  }
  if (client === undefined) throw new Error('a cluster needs at least one broker');
  await callUnary(
    client,
    AdminServiceService.bootstrap,
    { clusterId: record.clusterId },
    { deadlineMs: FORM_DEADLINE_MS, clock: systemClock },
  );
}

function writeCluster(dataDir: string, record: ClusterRecord): void {
  writeFileSync(join(dataDir, 'cluster.json'), `${JSON.stringify(record)}\n`);
}

function isClusterRecord(value: unknown): value is ClusterRecord {
  return (
    typeof value === 'object' &&
    value !== null &&
    'clusterId' in value &&
    typeof value.clusterId === 'string' &&
    'isBootstrapped' in value
  );
}
