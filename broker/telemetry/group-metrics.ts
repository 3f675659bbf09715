/**
 * How far groups are behind, by group and topic, of the groups that this broker coordinates. A lag
 * that is not known has no series: it is not 0. Bounded; what is beyond is counted.
 */
import { Gauge, type Registry } from 'prom-client';

/** Pairs of group and topic with series of their own: two series each. */
export const GROUP_LAGS_SHOWN_MAX = 500;

/** Of one group in one topic; over all partitions. */
export interface GroupLag {
  readonly group: string;
  readonly topic: string;
  /** Null: of some partition it is not known. */
  readonly lag: { readonly records: number; readonly ageMs: number } | null;
}

export class GroupMetrics {
  readonly #records: Gauge<'group' | 'topic'>;
  readonly #seconds: Gauge<'group' | 'topic'>;
  readonly #groups: Gauge;
  readonly #unknown: Gauge;
  readonly #unshown: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    const labelNames = ['group', 'topic'] as const;
    this.#records = new Gauge({
      name: 'tidemark_group_lag_records',
      help: 'Records that the group is behind in the topic; of groups that this broker coordinates',
      ...{ labelNames, registers },
    });
    this.#seconds = new Gauge({
      name: 'tidemark_group_lag_seconds',
      help: 'How long ago the oldest of them was committed',
      ...{ labelNames, registers },
    });
    const help = 'Groups that this broker coordinates';
    this.#groups = new Gauge({ name: 'tidemark_groups', help, registers });
    this.#unknown = new Gauge({
      name: 'tidemark_group_lags_unknown',
      help: 'Pairs of group and topic whose lag is not known; they have no series of it',
      registers,
    });
    this.#unshown = new Gauge({
      name: 'tidemark_group_lags_unshown',
      help: `Pairs of group and topic without series, beyond the first ${GROUP_LAGS_SHOWN_MAX}`,
      registers,
    });
  }

  /** All that this broker coordinates, as of now. */
  show(lags: readonly GroupLag[]): void {
    for (const gauge of [this.#records, this.#seconds]) gauge.reset();
    this.#groups.set(new Set(lags.map(({ group }) => group)).size);
    this.#unknown.set(lags.filter(({ lag }) => lag === null).length);
    this.#unshown.set(Math.max(0, lags.length - GROUP_LAGS_SHOWN_MAX));
    for (const { group, topic, lag } of lags.slice(0, GROUP_LAGS_SHOWN_MAX)) {
      if (lag === null) continue;
      this.#records.set({ group, topic }, lag.records);
      this.#seconds.set({ group, topic }, lag.ageMs / 1000);
    }
  }
}
