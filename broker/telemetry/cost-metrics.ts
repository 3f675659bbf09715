/** Metrics of what clients cost and of what was refused for it, read at each scrape. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { CostSource } from './broker-source.ts';

const DOORS = ['client', 'internal'] as const;

/** Adds them. */
export function watchCosts(registry: Registry, { budget, pressure }: CostSource): void {
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
      for (const door of DOORS) this.set({ listener: door }, budget.connections(door));
    },
  });
  new Counter({
    name: 'tidemark_pressure_total',
    help: 'Connections and calls refused, and connections closed, by the bound that was passed',
    labelNames: ['what', 'reason'],
    registers,
    collect() {
      this.reset();
      for (const { what, reason, count } of pressure.totals()) this.inc({ what, reason }, count);
    },
  });
}
