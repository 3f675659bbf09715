/**
 * The log of one partition of `__groups`, and whoever coordinates on it: the present leader, and an
 * earlier one that may not know yet that it is none. A batch of the leader is committed or lost; of
 * an earlier one what was under way may be committed before the next leader begins, and never
 * later.
 */
import { isDeepStrictEqual } from 'node:util';
import { BrokerError } from '../../../base/errors.ts';
import type { Random } from '../../../base/random.ts';
import {
  emptyMembership,
  foldMembership,
  type MembershipImage,
} from '../../../broker/groups/membership/image.ts';
import { Membership } from '../../../broker/groups/membership/membership.ts';
import { membershipRecords, readMembership } from '../../../broker/groups/membership/records.ts';
import type {
  GroupTopic,
  MembershipBatch,
  MembershipInput,
  MembershipOutput,
  StoredRecord,
} from '../../../broker/groups/membership/types.ts';
import type { Checks } from './checks.ts';

/** Records of a batch: often so few that a change needs several. */
const BATCH_RECORDS = [1, 2, 4, 500, 500];
/** Kinds of `__groups` that are not this core's. */
const RIDER = '["cursor"';

export interface Coordinator {
  readonly core: Membership;
  readonly epoch: number;
  underWay: MembershipBatch | null;
  isHeard: boolean;
}

export interface TopicsAt {
  readonly metadataIndex: number;
  readonly topics: ReadonlyMap<string, GroupTopic>;
}

export class Coordinators {
  readonly #random: Random;
  readonly #checks: Checks;
  readonly #brokerSessionMs: number;
  readonly #onOutput: (output: MembershipOutput, from: Coordinator) => void;
  /** Committed records, and their fold. */
  readonly log: StoredRecord[] = [];
  #image: MembershipImage = emptyMembership();
  present!: Coordinator;
  /** The one before, while it lives. */
  former: Coordinator | null = null;
  #epoch = 0;
  batches = 0;

  constructor(parts: {
    readonly random: Random;
    readonly checks: Checks;
    readonly brokerSessionMs: number;
    readonly onOutput: (output: MembershipOutput, from: Coordinator) => void;
  }) {
    this.#random = parts.random;
    this.#checks = parts.checks;
    this.#brokerSessionMs = parts.brokerSessionMs;
    this.#onOutput = parts.onOutput;
  }

  /** Another leader, which knows nothing but the log, and perhaps old topics. */
  failOver(nowMs: number, topics: TopicsAt): void {
    const former = this.present as Coordinator | undefined;
    if (former?.underWay != null && this.#random.chance(0.5)) this.#append(former.underWay);
    this.former = former ?? null;
    this.#epoch += 1;
    this.#image = this.#folded();
    this.present = {
      core: new Membership(this.#image, {
        epoch: this.#epoch,
        brokerSessionMs: this.#brokerSessionMs,
        batchRecordsMax: this.#random.pick(BATCH_RECORDS),
        nowMs,
      }),
      epoch: this.#epoch,
      underWay: null,
      isHeard: false,
    };
    this.step(this.present, { kind: 'heard', isHeard: true });
    this.step(this.present, { kind: 'topics', ...topics });
  }

  step(coordinator: Coordinator, input: MembershipInput): void {
    if (input.kind === 'heard') coordinator.isHeard = input.isHeard;
    const output = coordinator.core.step(input);
    this.#checks.onBatch(output.batch, coordinator.isHeard);
    for (const message of output.messages) this.#checks.onMessage(message, coordinator.isHeard);
    if (output.batch !== null) {
      if (coordinator.underWay !== null) throw new Error('two batches are under way');
      coordinator.underWay = output.batch;
    }
    this.#onOutput(output, coordinator);
  }

  /** The batch of the leader is committed, and every replica folds it. */
  commit(): void {
    const { present } = this;
    const batch = present.underWay;
    if (batch === null) return;
    present.underWay = null;
    this.#append(batch);
    const { epoch, batchId } = batch;
    this.step(present, { kind: 'committed', epoch, batchId });
    // As values, not as texts: the codec itself may be what loses something.
    if (isDeepStrictEqual(present.core.image, this.#image)) return;
    const [live, folded] = [present.core.image, this.#image].map((image) =>
      JSON.stringify(membershipRecords(image)),
    );
    throw new Error(`the fold is ${String(folded)}, live state is ${String(live)}`);
  }

  /** Nothing was appended, for certain. */
  refuse(): void {
    const batch = this.present.underWay;
    if (batch === null) return;
    this.present.underWay = null;
    const error = new BrokerError('NOT_ENOUGH_REPLICAS', 'too few replicas');
    this.step(this.present, { kind: 'lost', epoch: batch.epoch, batchId: batch.batchId, error });
  }

  /** What an earlier leader appends reaches nobody, and it does not learn more than that. */
  loseFormer(): void {
    const { former } = this;
    if (former?.underWay == null) return;
    const { epoch, batchId } = former.underWay;
    former.underWay = null;
    const error = new BrokerError('STALE_EPOCH', 'another leads');
    this.step(former, { kind: 'lost', epoch, batchId, error });
  }

  #append({ records, removedGroups }: MembershipBatch): void {
    for (const group of removedGroups)
      if (
        !records.some(
          ({ key, value }) => key === JSON.stringify(['group', group]) && value === null,
        )
      )
        throw new Error(`group ${group} is said to be removed, and is not`);
    this.log.push(...records);
    this.batches += 1;
    this.#checks.onCommitted(
      records.filter(({ key }) => !key.startsWith(RIDER)),
      records.some(({ key }) => key.startsWith(RIDER)),
    );
    for (const record of records) fold(this.#image, record);
  }

  #folded(): MembershipImage {
    const image = emptyMembership();
    for (const record of this.log) fold(image, record);
    return image;
  }
}

function fold(image: MembershipImage, { key, value }: StoredRecord): void {
  if (key.startsWith(RIDER)) return;
  foldMembership(image, readMembership(JSON.parse(key) as string[], value));
}
