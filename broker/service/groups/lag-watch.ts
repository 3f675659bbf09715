/**
 * Looks now and then how far the groups are behind that this broker coordinates, for its metrics.
 * One look at a time; what the leaders do not answer is not known.
 */
import type { Cancel } from '../../../base/clock.ts';
import type { Cursor } from '../../groups/fold.ts';
import type { GroupLag } from '../../telemetry/group-metrics.ts';
import { expected } from '../../messages/handlers.ts';
import type { GroupParts } from './coordinated.ts';
import { clusterLags } from './lags.ts';

const LOOK_MS = 10_000;
const DEADLINE_MS = 3_000;
/** Pairs of group and topic of one look: each may be a question to every leader. */
const PAIRS_MAX = 2_000;
/** Pairs that are asked for at a time. */
const AT_ONCE = 16;

export class LagWatch {
  readonly #parts: Pick<GroupParts, 'cluster' | 'report'>;
  readonly #onLags: (lags: readonly GroupLag[]) => void;
  readonly #cancel: Cancel;
  #isLooking = false;

  constructor(
    parts: Pick<GroupParts, 'cluster' | 'report'>,
    onLags: (lags: readonly GroupLag[]) => void,
  ) {
    this.#parts = parts;
    this.#onLags = onLags;
    this.#cancel = parts.cluster.clock.every(LOOK_MS, () => void this.look());
  }

  close(): void {
    this.#cancel();
  }

  /** Resolves once its metrics are told. */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const pairs = this.#pairs();
      const lags: GroupLag[] = [];
      for (let from = 0; from < pairs.length; from += AT_ONCE) {
        const some = pairs.slice(from, from + AT_ONCE);
        lags.push(...(await Promise.all(some.map((cursors) => this.#lagOf(cursors)))));
      }
      this.#onLags(lags);
    } catch (error) {
      expected(error, this.#parts.report);
    } finally {
      this.#isLooking = false;
    }
  }

  /** Cursors by group and topic, of groups and topics in the order of their names. */
  #pairs(): readonly (readonly Cursor[])[] {
    const { broker } = this.#parts.cluster;
    if (!broker.isInformed()) return [];
    const pairs = new Map<string, Cursor[]>();
    for (const { cursors } of broker.groups().coordinated().values())
      for (const cursor of cursors.values()) {
        const key = `${cursor.group}/${cursor.topicId}`;
        const found = pairs.get(key);
        if (found === undefined) pairs.set(key, [cursor]);
        else found.push(cursor);
      }
    const names = [...pairs.keys()].sort().slice(0, PAIRS_MAX);
    return names.map((name) => pairs.get(name) ?? []);
  }

  async #lagOf(cursors: readonly Cursor[]): Promise<GroupLag> {
    const { cluster, report } = this.#parts;
    const [{ group, topic: name, topicId } = { group: '', topic: '', topicId: '' }] = cursors;
    const topic = cluster.image().topics.get(topicId);
    if (topic === undefined) return { group, topic: name, lag: null };
    const positions = cursors.map(({ partition, offset }) => ({ partition, offset }));
    // Nobody asked for it.
    const question = { topic, positions, principal: '' };
    const found = await clusterLags(cluster, question, DEADLINE_MS, report);
    const lags = found.flatMap(({ lag }) => (lag === undefined ? [] : [lag]));
    if (lags.length < cursors.length) return { group, topic: name, lag: null };
    const records = lags.reduce((sum, lag) => sum + lag.records, 0);
    const ageMs = lags.reduce((most, lag) => Math.max(most, lag.ageMs), 0);
    return { group, topic: name, lag: { records, ageMs } };
  }
}
