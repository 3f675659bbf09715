/**
 * Each alert of the chart on recorded series: silent while all is well, firing in time, with the
 * words that a person reads. Played by Prometheus' own promtool.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { missing as missingHelm, render } from './render.ts';

const { error } = spawnSync('promtool', ['--version']);
const missing =
  missingHelm ??
  (error === undefined ? undefined : 'promtool is missing: apt-get install prometheus');

const BROKER = 'namespace="shop",service="orders-brokers",pod="orders-1"';
const OTHER = 'namespace="shop",service="orders-brokers",pod="orders-2"';
const OPERATOR = 'namespace="tm",job="tidemark-operator",pod="tidemark-0"';
const CLUSTER = { namespace: 'shop', service: 'orders-brokers' };
const POD = { ...CLUSTER, pod: 'orders-1' };
const RUNBOOK = 'https://example.com/operations';

/** One value each half a minute, as promtool writes them. */
type Recorded = Readonly<Record<string, string>>;

interface Case {
  readonly alert: string;
  readonly series: Recorded;
  /** It fires by then, and not at `before`. */
  readonly at: string;
  readonly before: string;
  readonly severity: 'critical' | 'warning';
  readonly labels: Readonly<Record<string, string>>;
  readonly summary: string;
  /** By then it is silent again. */
  readonly over?: string;
}

const CASES: readonly Case[] = [
  {
    alert: 'TidemarkPartitionOffline',
    series: { [`tidemark_partitions_offline{${BROKER}}`]: '0 0 3x20' },
    ...{ before: '1m', at: '2m30s', severity: 'critical', labels: CLUSTER },
    summary:
      '3 partitions of orders-brokers have no leader: nobody can append to them or read from them',
  },
  {
    alert: 'TidemarkPartitionBelowMin',
    series: {
      [`tidemark_partitions_below_min{${BROKER}}`]: '0 0 2x20',
      [`tidemark_partitions_below_min{${OTHER}}`]: '0 0 1x20',
    },
    ...{ before: '1m', at: '2m30s', severity: 'critical', labels: CLUSTER },
    summary: '3 partitions of orders-brokers refuse appends for want of in-sync replicas',
  },
  {
    alert: 'TidemarkRecordsMayBeLost',
    series: { [`tidemark_loss_reports{${BROKER}}`]: '0x10 1x200' },
    ...{ before: '5m', at: '6m', over: '80m', severity: 'critical', labels: CLUSTER },
    summary:
      'A partition of orders-brokers was given a leader without a trusted copy: records may be lost',
  },
  {
    alert: 'TidemarkReplicaStopped',
    series: { [`tidemark_replicas_stopped{${BROKER}}`]: '0 0 1x20' },
    ...{ before: '1m', at: '2m30s', severity: 'critical', labels: POD },
    summary: '1 replicas on orders-1 are stopped by a safety rule',
  },
  {
    alert: 'TidemarkNoController',
    series: { [`tidemark_quorum_is_leader{${BROKER}}`]: '1 1 0x20' },
    ...{ before: '1m', at: '2m30s', severity: 'critical', labels: CLUSTER },
    summary: 'The metadata quorum of orders-brokers has no leader',
  },
  {
    alert: 'TidemarkBrokerDown',
    series: {
      [`tidemark_brokers_fenced{${OTHER}}`]: '0 1x9 0x10',
      [`up{job="tidemark-brokers",${OTHER}}`]: '1x30',
    },
    ...{ before: '30s', at: '2m', over: '6m', severity: 'warning', labels: CLUSTER },
    summary: '1 brokers of orders-brokers are dead, cut off, or not in service yet',
  },
  {
    alert: 'TidemarkBrokerDown',
    series: {
      [`up{job="tidemark-brokers",${BROKER}}`]: '1 0x20',
      [`up{job="tidemark-brokers",${OTHER}}`]: '1 0x20',
    },
    ...{ before: '30s', at: '2m', severity: 'warning', labels: CLUSTER },
    summary: '2 brokers of orders-brokers are dead, cut off, or not in service yet',
  },
  {
    alert: 'TidemarkDiskNearlyFull',
    series: {
      [`tidemark_disk_free_bytes{${BROKER}}`]: '20 20 9x30',
      [`tidemark_disk_total_bytes{${BROKER}}`]: '100x32',
    },
    ...{ before: '5m', at: '7m', severity: 'critical', labels: POD },
    summary: 'orders-1 has 9% of its volume left above its reserve',
  },
  {
    alert: 'TidemarkDiskFilling',
    series: {
      // Two percent an hour, from 45 percent on: 11 hours are left.
      [`tidemark_disk_free_bytes{${BROKER}}`]: '5400-2x840',
      [`tidemark_disk_total_bytes{${BROKER}}`]: '12000x840',
    },
    ...{ before: '20m', at: '60m', severity: 'warning', labels: POD },
    summary: 'orders-1 fills its volume within a day, as the last six hours went',
  },
  {
    alert: 'TidemarkStuckWrite',
    series: { [`tidemark_stuck_write_seconds{${BROKER}}`]: '0 0 7x20' },
    ...{ before: '1m', at: '2m', severity: 'critical', labels: POD },
    summary: 'A write on orders-1 has not returned for 7 s',
  },
  {
    alert: 'TidemarkUnderReplicated',
    series: { [`tidemark_partitions_under_replicated{${BROKER}}`]: '4x60' },
    ...{ before: '14m', at: '16m', severity: 'warning', labels: CLUSTER },
    summary: '4 partitions of orders-brokers have a replica out of sync',
  },
  {
    alert: 'TidemarkBrokerNotServing',
    series: { [`tidemark_serving{${BROKER}}`]: '0x60' },
    ...{ before: '14m', at: '16m', severity: 'warning', labels: POD },
    summary: 'orders-1 runs and does not serve',
  },
  {
    alert: 'TidemarkLossyRestart',
    series: {
      [`tidemark_restart_class{class="lossy",${BROKER}}`]: '0 0 1x60',
      [`tidemark_replicas_uncounted{${BROKER}}`]: '0 0 5x9 0x60',
    },
    ...{ before: '30s', at: '1m30s', over: '6m30s', severity: 'warning', labels: POD },
    summary:
      'orders-1 came back without all that it had: 5 of its replicas do not count until their leaders have certified them',
  },
  {
    alert: 'TidemarkFlushBehind',
    series: { [`tidemark_flush_age_seconds{${BROKER}}`]: '45x30' },
    ...{ before: '4m', at: '6m', severity: 'warning', labels: POD },
    summary: 'orders-1 has bytes that have waited 45 s for the disk',
  },
  {
    alert: 'TidemarkMemoryRefusals',
    series: {
      [`tidemark_pressure_total{what="call-refused",reason="memory",${BROKER}}`]: '0x4 0+9x6 54x60',
      [`tidemark_pressure_total{what="call-refused",reason="streams",${BROKER}}`]: '0+5x70',
    },
    ...{ before: '2m', at: '5m', over: '20m', severity: 'warning', labels: POD },
    summary:
      'orders-1 refuses calls or closes connections: what clients make it hold fills its memory budget',
  },
  {
    alert: 'TidemarkGroupBehind',
    series: {
      [`tidemark_group_lag_seconds{group="billing",topic="orders",${BROKER}}`]: '900x2 901x90',
    },
    ...{ before: '16m', at: '19m', severity: 'warning' },
    labels: { ...CLUSTER, group: 'billing', topic: 'orders' },
    summary: 'Group billing has not handled records of orders that were committed 15m 1s ago',
  },
  {
    alert: 'TidemarkQueueBehind',
    series: {
      [`tidemark_queue_lag_seconds{queue="jobs",topic="orders",${BROKER}}`]: '900x2 901x90',
    },
    ...{ before: '16m', at: '19m', severity: 'warning' },
    labels: { ...CLUSTER, queue: 'jobs', topic: 'orders' },
    summary: 'Queue jobs has not handed out records of orders that were committed 15m 1s ago',
  },
  {
    alert: 'TidemarkQueueLettersStuck',
    series: { [`tidemark_queue_dying_seconds{queue="jobs",${BROKER}}`]: '300x2 301x90' },
    ...{ before: '2m', at: '5m', severity: 'warning' },
    labels: { ...CLUSTER, queue: 'jobs' },
    summary: 'Queue jobs has had records for 5m 1s that its dead-letter topic does not take',
  },
  {
    alert: 'TidemarkTimeRetentionPaused',
    series: { [`tidemark_time_retention_paused{${BROKER}}`]: '1x90' },
    ...{ before: '29m', at: '31m', severity: 'warning', labels: POD },
    summary:
      'orders-1 does not believe its clock: what it leads is not deleted by age, and its disk fills',
  },
  {
    alert: 'TidemarkOperatorNotLeading',
    series: { [`tidemark_operator_leader{${OPERATOR}}`]: '0x30' },
    ...{ before: '4m', at: '6m', severity: 'warning' },
    labels: { namespace: 'tm', job: 'tidemark-operator' },
    summary:
      'No copy of the operator in tm leads: brokers run on, and nothing is rolled, scaled or healed',
  },
  {
    alert: 'TidemarkOperatorNotLeading',
    series: { [`up{${OPERATOR}}`]: '0x30' },
    ...{ before: '4m', at: '6m', severity: 'warning' },
    labels: { namespace: 'tm', job: 'tidemark-operator' },
    summary:
      'No copy of the operator in tm leads: brokers run on, and nothing is rolled, scaled or healed',
  },
  {
    alert: 'TidemarkOperatorFailing',
    series: {
      [`tidemark_operator_queue_retrying{controller="logcluster",${OPERATOR}}`]: '1x60',
    },
    ...{ before: '14m', at: '16m', severity: 'warning' },
    labels: { namespace: 'tm', controller: 'logcluster' },
    summary: 'Passes of logcluster in tm keep failing',
  },
  {
    alert: 'TidemarkOperatorStuck',
    series: {
      [`tidemark_operator_reconcile_in_progress_start_timestamp_seconds{controller="logcluster",key="shop/orders",${OPERATOR}}`]:
        '60x60',
    },
    ...{ before: '15m', at: '18m', severity: 'warning' },
    labels: { namespace: 'tm', controller: 'logcluster', key: 'shop/orders' },
    summary: 'The pass over shop/orders has not ended for 15 minutes',
  },
  {
    alert: 'TidemarkCertificateAuthorityLost',
    series: {
      [`tidemark_operator_blocked_seconds{key="shop/orders",reason="CertificateAuthorityLost",${OPERATOR}}`]:
        '0+30x200',
      [`tidemark_operator_blocked_seconds{key="shop/other",reason="WouldHarm",${OPERATOR}}`]:
        '0+30x40 0x160',
    },
    ...{ before: '5m', at: '7m', severity: 'critical' },
    labels: { namespace: 'tm', key: 'shop/orders' },
    summary:
      'The certificate authority of shop/orders is lost: its brokers part when their certificates end',
  },
  {
    alert: 'TidemarkOperatorBlocked',
    series: {
      [`tidemark_operator_blocked_seconds{key="shop/orders",reason="WouldHarm",${OPERATOR}}`]:
        '0+30x80',
      [`tidemark_operator_blocked_seconds{key="shop/held",reason="Paused",${OPERATOR}}`]: '9000x80',
    },
    ...{ before: '30m', at: '33m', severity: 'warning' },
    labels: { namespace: 'tm', key: 'shop/orders', reason: 'WouldHarm' },
    summary: 'What shop/orders wants has been refused for 33m 0s: WouldHarm',
  },
  {
    alert: 'TidemarkOperatorStale',
    series: {
      [`tidemark_operator_reflector_staleness_seconds{kind="Pod",${OPERATOR}}`]: '0+30x60',
    },
    ...{ before: '10m', at: '12m', severity: 'warning' },
    labels: { namespace: 'tm', pod: 'tidemark-0', kind: 'Pod' },
    summary: 'tidemark-0 has heard nothing of Pod from the API server for 12m 0s',
  },
];

function rules(): unknown {
  const values = { metrics: { prometheusRule: { enabled: true, runbook: RUNBOOK } } };
  return render(values).find(({ kind }) => kind === 'PrometheusRule')?.spec;
}

function expectations({ alert, before, at, over, ...rest }: Case): object[] {
  const { severity, labels, summary } = rest;
  const firing = {
    exp_labels: { severity, ...labels },
    exp_annotations: { summary, runbook_url: `${RUNBOOK}#${alert.toLowerCase()}` },
  };
  return [
    { eval_time: before, alertname: alert, exp_alerts: [] },
    { eval_time: at, alertname: alert, exp_alerts: [firing] },
    ...(over === undefined ? [] : [{ eval_time: over, alertname: alert, exp_alerts: [] }]),
  ];
}

/** Exit code and words of `promtool test rules`. */
function play(subject: Case): { readonly code: number | null; readonly output: string } {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-alerts-'));
  try {
    writeFileSync(join(folder, 'rules.json'), JSON.stringify(rules()));
    const series = Object.entries(subject.series);
    const test = {
      rule_files: ['rules.json'],
      evaluation_interval: '30s',
      tests: [
        {
          interval: '30s',
          input_series: series.map(([name, values]) => ({ series: name, values })),
          alert_rule_test: expectations(subject),
        },
      ],
    };
    writeFileSync(join(folder, 'test.json'), JSON.stringify(test));
    const run = spawnSync('promtool', ['test', 'rules', 'test.json'], {
      cwd: folder,
      encoding: 'utf8',
    });
    return { code: run.status, output: `${run.stdout}${run.stderr}` };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

beforeEach(({ skip }) => {
  skip(missing !== undefined, missing);
});

it.each(CASES)('$alert fires by $at, and not at $before', (subject) => {
  const { code, output } = play(subject);
  expect({ code, output }).toMatchObject({ code: 0 });
});

it('plays every alert', () => {
  const { groups } = rules() as {
    readonly groups: readonly { readonly rules: readonly { readonly alert: string }[] }[];
  };
  const all = groups.flatMap((group) => group.rules.map(({ alert }) => alert));
  expect([...new Set(CASES.map(({ alert }) => alert))].sort()).toEqual(all.sort());
});
