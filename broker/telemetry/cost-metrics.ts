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
  { budget, listeners, pressure, quotas }: CostSource,
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
}
