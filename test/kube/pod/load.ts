/**
 * Runs in a pod of the image: `load TOPIC SERVER` appends to a topic and follows it until SIGTERM,
 * then reads everything back and checks the history. Prints a JSON object a line: how much was
 * acknowledged so far and, last of all, the verdict.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { connect, type Tidemark } from '../../../client/index.ts';
import { check, checkRepeatable, type StoredRecord } from '../../cluster/harness/history.ts';
import { Load } from '../../cluster/harness/load.ts';

const PROGRESS_MS = 250;
/** A broken cluster breaks the same promise a thousand times. */
const VIOLATIONS_SHOWN_MAX = 20;
const FAILURES_SHOWN_MAX = 3;

const [topic = '', server = ''] = process.argv.slice(2);
const { TIDEMARK_TLS_CA: authority, TIDEMARK_TOKEN_FILE: token } = process.env;
/** In TLS and with a token of its account, where its pod has what that takes. */
const open = (): Tidemark =>
  connect({
    servers: server,
    ...(authority === undefined ? {} : { tls: { ca: readFileSync(authority, 'utf8') } }),
    ...(token === undefined ? {} : { token: () => readFile(token, 'utf8') }),
  });
const ended = new Promise((resolve) => process.once('SIGTERM', resolve));

const load = new Load(open, { topic });
const ticker = setInterval(progress, PROGRESS_MS);
await ended;
clearInterval(ticker);
const { appends, consumed, longestGapMs, retries } = await load.stop();
const stored = await readAll();
const { violations, ...counts } = check(appends, stored);
const broken = [...violations, ...checkRepeatable(consumed, stored)];
print({
  verdict: {
    ...counts,
    violations: broken.slice(0, VIOLATIONS_SHOWN_MAX),
    longestGapMs,
    retries,
    failures: load.failed.slice(0, FAILURES_SHOWN_MAX).map(({ outcome }) => outcome),
  },
});

function print(line: object): void {
  console.log(JSON.stringify(line));
}

function progress(): void {
  const counts = [...load.acknowledged.values()];
  print({
    acknowledged: counts.reduce((sum, count) => sum + count, 0),
    partitions: counts.length,
    fewest: counts.length === 0 ? 0 : Math.min(...counts),
    failed: load.failed.length,
  });
}

async function readAll(): Promise<StoredRecord[]> {
  const client = open();
  const records: StoredRecord[] = [];
  for await (const batch of client.consumer({ topic, from: 'earliest', follow: false })) {
    for (const { offset, key, value } of batch.records)
      records.push({ partition: batch.partition, offset, key, value: value ?? new Uint8Array(0) });
  }
  await client.close();
  return records;
}
