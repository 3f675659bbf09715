/** docs/json.md against what the commands print. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildProgram } from '../../../../client/cli/program.ts';
import { OptionSource } from '../../../../proto/gen/tidemark/v1/options.ts';
import { RestartClass } from '../../../../proto/gen/tidemark/v1/admin.ts';
import { ROOT } from '../../../fixtures/sources.ts';
import { FakeCluster, TOPIC, TOPIC_ID_BYTES } from '../fake-cluster.ts';
import { runCli } from './run.ts';

const PAGE = readFileSync(join(ROOT, 'docs/json.md'), 'utf8');

/** By field, the words that the page allows. */
const WORDS = new Map<string, Set<string>>();
for (const [, field = '', list = ''] of PAGE.matchAll(
  /^\| `(\w+)`[^|]*\| ((?:`[\w-]+`(?:, )?)+) \|$/gmu,
)) {
  const words = [...list.matchAll(/`([\w-]+)`/gu)].map(([, word = '']) => word);
  WORDS.set(field, new Set([...(WORDS.get(field) ?? []), ...words]));
}

/** Rates and measured times, which need not be whole. */
const FRACTION = /(Ms|seconds?|Seconds?|PerSecond|p50|p99|p999|max|mean)$/;

const REPORT = {
  brokerId: 1,
  brokerEpoch: 1,
  version: '0.1.0',
  restartClass: RestartClass.RESTART_CLASS_CLEAN,
  restartReason: '',
  replicas: [],
  freeBytes: 0,
  flushAgeMs: 0,
  memoryBytes: 0,
  uptimeMs: 0,
  metadataFault: '',
  diskFault: '',
  timeRetentionPaused: false,
  timeRetentionReason: '',
  options: Object.values(OptionSource)
    .filter((source) => typeof source === 'number')
    .map((source) => ({ name: `o${source}`, value: 'info', source, live: true })),
};

const COMMANDS: readonly (readonly [string, string?])[] = [
  ['topic list'],
  [`topic describe ${TOPIC}`],
  [`topic describe ${TOPIC} --all`],
  [`topic offsets ${TOPIC}`],
  [`topic trim ${TOPIC} --to latest`],
  [`topic alter ${TOPIC} --retention 7d`],
  ['topic delete nothing --if-exists'],
  [`topic export ${TOPIC}`],
  [`append ${TOPIC}`, 'a\nb\n'],
  [`read ${TOPIC}`],
  ['cluster describe'],
  ['cluster health'],
  ['cluster rebalance'],
  [`cluster reassign ${TOPIC} 0 --replicas 1,2,4`],
  [`cluster elect ${TOPIC} 0 --leader 2`],
  ['cluster limit --move-bytes-per-second none'],
  ['cluster decommission 3'],
  ['cluster recommission 3'],
  ['cluster prepare-stop 3'],
  ['cluster cancel-stop 3'],
  ['cluster remove-broker 3'],
  ['cluster config'],
  ['cluster defaults --replication-factor 3 --commit-mode quorum'],
  ['access list'],
  ['access grant token:ops read topic:orders'],
  ['access revoke token:ops all topic:orders'],
  ['access check read topic:orders'],
  ['quota list'],
  ['quota set token:ops --append-bytes 1MiB --admin-calls none'],
  ['quota delete token:ops'],
  ['group list'],
  ['group describe billing'],
  [`group seek billing ${TOPIC} --to earliest --dry-run`],
  [`read ${TOPIC} --group billing`],
  ['group delete billing'],
  [`queue create jobs ${TOPIC} --lease 1m`],
  ['queue alter jobs --key-ordered true'],
  ['queue list'],
  ['queue describe jobs'],
  ['queue free jobs 0 7'],
  ['queue delete jobs'],
  [`bench append ${TOPIC} --records 5`],
  [`bench read ${TOPIC} --records 5`],
  [`bench roundtrip ${TOPIC} --records 5`],
  ['profile set a --server x:1'],
  ['profile list'],
  ['profile show'],
  ['profile show a'],
  ['profile use a'],
  ['profile delete a'],
];

/** What the fake cluster cannot answer, reads folders, goes on, or talks to launcher or shell. */
const ELSEWHERE = new Set([
  'topic create',
  'topic import',
  'cluster check-disruption',
  'quorum describe',
  'self-test',
  'why',
  'log verify',
  'debug bundle',
  'page',
  'local kill',
  'local start',
  'local status',
  'completion',
]);

/** Everything that breaks a promise of the page. */
function faultsIn(value: unknown, name: string): string[] {
  if (Array.isArray(value)) return value.flatMap((one) => faultsIn(one, name));
  if (typeof value === 'object' && value !== null)
    return Object.entries(value).flatMap(([key, one]) => faultsIn(one, key));
  const words = WORDS.get(name);
  if (words !== undefined && !(typeof value === 'string' && words.has(value)))
    return [`${name} is ${JSON.stringify(value)}, must be one of ${[...words].join(', ')}`];
  if (typeof value !== 'number' || Number.isSafeInteger(value) || FRACTION.test(name)) return [];
  return [`${name} is ${value}, must be whole`];
}

describe('docs/json.md', () => {
  const cluster = new FakeCluster(2);
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-json-'));
    await cluster.start();
    const start = { topic: TOPIC, topicId: TOPIC_ID_BYTES, offset: 0, leaderEpoch: 0 };
    cluster.groups.put('billing', { ...start, partition: 0, generation: 1 });
    for (const brokerId of [1, 2, 3])
      cluster.reports.set(brokerId, () => ({ ...REPORT, brokerId }));
  });
  afterAll(async () => {
    cluster.stop();
    await rm(folder, { recursive: true });
  });

  it('lists words', () => {
    expect([...WORDS.keys()].toSorted()).toEqual(
      ['commitMode', 'effect', 'level', 'restartClass', 'retry', 'role', 'source'].toSorted(),
    );
  });

  it('is held to by every command that can be run here', () => {
    const { stdin, stdout, stderr } = process;
    const { signal } = new AbortController();
    const around = { stdin, stdout, stderr, env: {}, interrupted: signal };
    const leaves = (command: Command, path: readonly string[] = []): string[] =>
      command.commands.length === 0
        ? [path.join(' ')]
        : command.commands.flatMap((one) => leaves(one, [...path, one.name()]));
    const uncovered = leaves(buildProgram(around, () => undefined)).filter(
      (path) =>
        !ELSEWHERE.has(path) && !COMMANDS.some(([args]) => `${args} `.startsWith(`${path} `)),
    );
    expect(uncovered).toEqual([]);
  });

  it('holds for all of them, one after the other', async () => {
    const faults: string[] = [];
    for (const [args, stdin = ''] of COMMANDS) {
      const env = { TIDEMARK_SERVER: cluster.servers.join(','), XDG_CONFIG_HOME: folder };
      const ran = await runCli([...args.split(' '), '--output', 'json'], { stdin, env });
      expect(ran.exitCode, `${args}: ${ran.stderr}`).toBe(0);
      const isLines = /^(read|topic export)/.test(args);
      const documents = isLines ? ran.stdout.trim().split('\n') : [ran.stdout];
      for (const document of documents)
        faults.push(...faultsIn(JSON.parse(document), '').map((fault) => `${args}: ${fault}`));
    }
    expect(faults).toEqual([]);
  });

  it('holds for errors', async () => {
    const env = { TIDEMARK_SERVER: cluster.servers.join(',') };
    const { stderr } = await runCli(['topic', 'describe', 'nothing', '--output', 'json'], { env });
    const { error } = JSON.parse(stderr) as { error: Record<string, unknown> };
    expect(Object.keys(error)).toEqual(['code', 'message', 'retry', 'effect']);
    expect(faultsIn(error, '')).toEqual([]);
  });
});
