/** The metrics that broker and operator really export: what a scrape of each says. */
import { Metrics } from '../../broker/telemetry/metrics.ts';
import type { BrokerSource } from '../../broker/telemetry/broker-source.ts';
import { OperatorMetrics } from '../../operator/runtime/metrics.ts';
import { readBuildInfo, showBuildInfo } from '../../process/build-info.ts';

const BROKER: BrokerSource = {
  brokerId: 1,
  phase: () => 'serving',
  report: () => ({
    phase: 'serving',
    restartClass: 'clean',
    replicas: [],
    freeBytes: 1,
    totalBytes: 2,
    diskFault: null,
    flushAgeMs: 0,
    stuckWriteMs: 0,
    raft: null,
    metadataFault: null,
    clockSkewMs: 0,
    clockDoubt: null,
    compactions: { passes: 0, failures: 0, bytesBefore: 0, bytesAfter: 0, segmentsMerged: 0 },
  }),
  image: () => ({ featureLevel: 1, losses: [], brokers: new Map(), topics: new Map() }),
};

const COSTS = {
  budget: { bytes: 0, streams: 0, limits: { bytes: 1 }, connections: () => 0 },
  listeners: ['client'],
  pressure: { totals: () => [] },
  quotas: { totals: () => [] },
  shares: {
    totals: () => ({ active: 0, heldBack: 0, underWayBytes: 0, windowBytes: 0, holds: 0 }),
  },
};

/** Names of series, those of histograms with their endings. */
export async function exportedSeries(): Promise<ReadonlySet<string>> {
  const broker = new Metrics(BROKER, () => [], COSTS);
  const operator = new OperatorMetrics('tidemark_operator_');
  operator.attach({
    monotonicMs: () => 0,
    isLeading: () => true,
    reflectors: () => [],
    depths: () => [],
  });
  const info = readBuildInfo({});
  showBuildInfo(broker.registry, info, { component: 'broker', feature_level: '1' });
  showBuildInfo(operator.registry, info, { component: 'operator', feature_level: '' });
  const text = `${await broker.text()}\n${await operator.text()}`;
  const types = text.matchAll(/^# TYPE (?<name>\S+) (?<type>\S+)$/gm);
  return new Set(
    [...types].flatMap(({ groups }) => {
      const { name = '', type } = groups ?? {};
      return type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => name + end) : [name];
    }),
  );
}
