/**
 * The real controller of a run, drawn apart from the brokers. What it proposes is committed a
 * moment later: the quorum itself has stories of its own (`raft-script.ts`). Must not know what a
 * broker does with what it is told.
 */
import type { BrokerError } from '../../base/errors.ts';
import { apply, emptyImage } from '../../broker/metadata/apply.ts';
import { TOPIC_CONFIG_DEFAULTS } from '../../broker/metadata/config.ts';
import { decisionsOf } from '../../broker/metadata/explain.ts';
import { FEATURE_LEVEL_MAX } from '../../broker/metadata/features.ts';
import { Controller } from '../../broker/metadata/controller/controller.ts';
import type {
  ControllerInput,
  ControllerOutput,
  ControllerReply,
  ControllerRequest,
} from '../../broker/metadata/controller-types.ts';
import type { MetadataImage, PartitionState, TopicState } from '../../broker/metadata/types.ts';
import type { Say } from './picture.ts';
import type { Timeline } from './timeline.ts';

export type Reply = ControllerReply | BrokerError;
type Inspection = ControllerOutput['inspections'][number];
export type InspectedLog = Extract<ControllerInput, { kind: 'inspected' }>['log'];

/** What the controller needs of the world around it. */
export interface ControlWorld {
  readonly timeline: Timeline;
  readonly say: Say;
  /** Metadata has changed. */
  published(): void;
  /** Somebody is asked whether it is there. */
  probe(brokerId: number, answer: (result: 'alive' | 'refused' | 'silent') => void): void;
  inspect(inspection: Inspection, answer: (log: InspectedLog) => void): void;
}

export const TOPIC_ID = 't';
export const CLUSTER_ID = 'c';
/** A quorum commits and syncs within that. */
const COMMIT_MS = 6;
const SESSION_MS = 500;

export class Control {
  image: MetadataImage;
  readonly #controller: Controller;
  readonly #world: ControlWorld;
  readonly #callbacks = new Map<number, (reply: Reply) => void>();
  #requests = 0;
  #proposals = 0;

  constructor(world: ControlWorld, seed: number) {
    this.#world = world;
    this.image = apply(
      emptyImage(),
      [{ kind: 'cluster', clusterId: CLUSTER_ID, featureLevel: FEATURE_LEVEL_MAX }],
      { index: 1, term: 1 },
    );
    this.#controller = new Controller({
      seed,
      self: -1,
      sessionTimeoutMs: SESSION_MS,
      probeIntervalMs: 100,
      defaults: TOPIC_CONFIG_DEFAULTS,
      requestsPendingMax: 100,
      partitionsMax: 10,
      image: this.image,
      nowMs: world.timeline.nowMs,
    });
    this.#step({ kind: 'voters', voters: [] });
  }

  get topic(): TopicState | undefined {
    return this.image.topics.get(TOPIC_ID);
  }

  get row(): PartitionState | undefined {
    return this.topic?.partitions[0];
  }

  /** Nothing that was proposed waits. */
  get isQuiet(): boolean {
    return this.#proposals === 0;
  }

  ask(request: ControllerRequest, callback: (reply: Reply) => void): void {
    this.#requests += 1;
    this.#callbacks.set(this.#requests, callback);
    this.#step({ kind: 'request', requestId: this.#requests, request });
  }

  tick(): void {
    const { nowMs } = this.#world.timeline;
    this.#step({ kind: 'tick', nowMs, wallMs: nowMs });
  }

  disconnected(brokerId: number): void {
    this.#step({ kind: 'disconnected', brokerId });
  }

  #step(input: ControllerInput): void {
    const { proposals, replies, probes, inspections } = this.#controller.step(input);
    for (const proposal of proposals) this.#commitSoon(proposal);
    for (const { requestId, reply } of replies) {
      this.#callbacks.get(requestId)?.(reply);
      this.#callbacks.delete(requestId);
    }
    for (const { brokerId, brokerEpoch } of probes)
      this.#world.probe(brokerId, (result) => {
        this.#step({ kind: 'probed', brokerId, brokerEpoch, result });
      });
    for (const inspection of inspections) {
      const { topicId, partition, leaderEpoch, brokerId, brokerEpoch } = inspection;
      this.#world.inspect(inspection, (log) => {
        const about = { topicId, partition, leaderEpoch, brokerId, brokerEpoch };
        this.#step({ kind: 'inspected', ...about, log });
      });
    }
  }

  #commitSoon({ proposalId, records }: ControllerOutput['proposals'][number]): void {
    this.#proposals += 1;
    this.#world.timeline.after(COMMIT_MS, () => {
      this.#proposals -= 1;
      const before = this.image;
      this.image = apply(before, records, { index: before.index + 1, term: 1 });
      for (const { reasons } of decisionsOf(before, this.image, records))
        for (const { text, rule } of reasons)
          this.#world.say({ kind: 'decision', text: `controller: ${text}`, rule });
      for (const record of records)
        if (record.kind === 'loss-reported')
          this.#world.say({ kind: 'fault', text: `controller: ${lossText(record)}`, rule: 'P11' });
      this.#world.published();
      this.#step({ kind: 'committed', proposalId, index: this.image.index });
    });
  }
}

/** What a loss report says. */
export function lossText({
  loss: { fromOffset, leaderEpoch },
}: {
  readonly loss: { readonly fromOffset: number; readonly leaderEpoch: number };
}): string {
  return `records from offset ${fromOffset} on, of epochs before ${leaderEpoch}, may be lost`;
}
