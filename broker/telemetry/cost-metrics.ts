/** Metrics of what clients cost and of what was refused for it, read at each scrape. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { CostSource } from './broker-source.ts';

type QuotaTotals = ReturnType<CostSource['quotas']['totals']>[number];

/** What is done, and why: there from the start, for a rate counts from the second value on. */
const PRESSURES = ['connection-refused', 'call-refused', 'connection-closed'] as const;
const REASONS = ['connections', 'connections-of-address', 'streams', 'memory'] as const;

/** Adds them. */
export function watchCosts(
  registry: Registry,
  { budget, listeners, pressure, quotas, shares }: CostSource,
): void {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      ...{ name, help, registers },
      collect() {
        this.set(read());
      },
    });
  };
  gauge(
    'tidemark_connection_memory_bytes',
    'Bytes held for connections: unfinished messages, streams, unread answers, unanswered batches',
    () => budget.bytes,
  );
  gauge(
    'tidemark_connection_memory_limit_bytes',
    'Bytes that may be held for connections',
    () => budget.limits.bytes,
  );
  gauge('tidemark_open_calls', 'Calls that are open', () => budget.streams);
  new Gauge({
    name: 'tidemark_connections',
    help: 'Connections that stand, by listener',
    labelNames: ['listener'],
    registers,
    collect() {
      for (const listener of listeners) this.set({ listener }, budget.connections(listener));
    },
  });
  new Counter({
    name: 'tidemark_pressure_total',
    help: 'Connections and calls refused, and connections closed, by the bound that was passed',
    labelNames: ['what', 'reason'],
    registers,
    collect() {
      this.reset();
      for (const what of PRESSURES) for (const reason of REASONS) this.inc({ what, reason }, 0);
      for (const { what, reason, count } of pressure.totals()) this.inc({ what, reason }, count);
    },
  });
  const ofQuotas = (name: string, help: string, read: (totals: QuotaTotals) => number): void => {
    new Counter({
      ...{ name, help, labelNames: ['quota'], registers },
      collect() {
        this.reset();
        for (const totals of quotas.totals()) this.inc({ quota: totals.quota }, read(totals));
      },
    });
  };
  ofQuotas(
    'tidemark_quota_delays_total',
    'Times that a call or stream of a client was delayed by a quota',
    ({ delays }) => delays,
  );
  ofQuotas(
    'tidemark_quota_delay_seconds_total',
    'For how long, in sum; what is still delayed is not in it',
    ({ delayedMs }) => delayedMs / 1000,
  );
  ofQuotas(
    'tidemark_quota_refusals_total',
    'Calls of clients that were refused by a quota',
    ({ refusals }) => refusals,
  );
  watchShares(registry, shares);
}

function watchShares(registry: Registry, shares: CostSource['shares']): void {
  const registers = [registry];
  const producers = new Gauge({
    name: 'tidemark_producers',
    help: 'Streams of producers with appends under way or a moment ago; held-back ones have a batch that waits for its share',
    labelNames: ['state'],
    registers,
    collect() {
      const { active, heldBack } = shares.totals();
      producers.set({ state: 'active' }, active);
      producers.set({ state: 'held-back' }, heldBack);
    },
  });
  const underWay = new Gauge({
    name: 'tidemark_appends_under_way_bytes',
    help: 'Bytes of appends of producers that are not answered',
    registers,
    collect() {
      underWay.set(shares.totals().underWayBytes);
    },
  });
  const window = new Gauge({
    name: 'tidemark_producer_window_bytes',
    help: 'Least number of bytes that a producer may have under way beside others; 0 while none has to share',
    registers,
    collect() {
      window.set(shares.totals().windowBytes);
    },
  });
  const holds = new Counter({
    name: 'tidemark_producer_holds_total',
    help: 'Times that a batch of a producer waited for its share',
    registers,
    collect() {
      holds.reset();
      holds.inc(shares.totals().holds);
    },
  });
}
