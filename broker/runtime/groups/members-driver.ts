/**
 * Drives the core that keeps the members of groups, for one partition of `__groups`: what it writes
 * goes through the coordinator of the partition, in the one order that cursors have too, and what
 * it says goes to whoever asked, or to the members' proxies. One core serves one leadership; the
 * next one begins from what is folded (docs/rules.md#groups).
 */
import type { Clock } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerId } from '../../../base/units.ts';
import { judgeDeletion } from '../../groups/cursors.ts';
import type { GroupsImage } from '../../groups/fold.ts';
import { Membership } from '../../groups/membership/membership.ts';
import type {
  GroupReply,
  GroupRequest,
  GroupTopic,
  MemberMessage,
  MembershipBatch,
  MembershipInput,
  MemberSign,
  RefusedSign,
  StoredRecord,
} from '../../groups/membership/types.ts';
import type { GroupsRecord } from '../../groups/records.ts';
import type { Coordinator } from './coordinator.ts';

/** From which on a batch of the core is full. */
const BATCH_RECORDS_MAX = 500;

/** All topics that groups may read, as of an entry of the metadata log. */
export interface TopicsNow {
  readonly index: number;
  readonly byName: ReadonlyMap<string, GroupTopic>;
}

/** The member whose stream broke. */
export type DetachedMember = Omit<MemberSign, 'epoch'>;

export interface MembersDriverParts {
  readonly clock: Clock;
  readonly brokerSessionMs: number;
  readonly topics: () => TopicsNow;
  readonly onMessages: (messages: readonly MemberMessage[]) => void;
}

type Coordinating = Pick<Coordinator, 'propose' | 'image' | 'refusal' | 'epoch'>;

interface Asked {
  readonly resolve: (reply: GroupReply) => void;
  readonly reject: (error: BrokerError) => void;
}

interface Served {
  readonly core: Membership;
  readonly epoch: number;
  readonly asked: Map<number, Asked>;
  topics: ReadonlyMap<string, GroupTopic> | null;
  isHeard: boolean;
}

export class MembersDriver {
  readonly #coordinator: Coordinating;
  readonly #parts: MembersDriverParts;
  #served: Served | null = null;
  #nextRequestId = 1;

  constructor(coordinator: Coordinating, parts: MembersDriverParts) {
    this.#coordinator = coordinator;
    this.#parts = parts;
  }

  /** Leadership, topics, or who hears this broker may have changed. */
  look(): void {
    this.#follow();
  }

  /** Comes once a second. */
  tick(): void {
    const served = this.#follow();
    // How long a group is not used is counted with its cursors (upkeep.ts), by one clock.
    const nowMs = this.#parts.clock.monotonicMs();
    if (served !== null) this.#step(served, { kind: 'tick', nowMs });
  }

  /** Rejects with the core's refusal, or with OUTCOME_UNKNOWN. */
  request(proxy: BrokerId, request: GroupRequest): Promise<GroupReply> {
    const served = this.#requireServed();
    const requestId = this.#nextRequestId++;
    return new Promise((resolve, reject) => {
      served.asked.set(requestId, { resolve, reject });
      this.#step(served, { kind: 'request', requestId, proxy, request });
    });
  }

  /** Those that do not count. What members have missed is told beside it. */
  async heartbeat(
    proxy: BrokerId,
    members: readonly MemberSign[],
  ): Promise<readonly RefusedSign[]> {
    const served = this.#requireServed();
    const requestId = this.#nextRequestId++;
    const reply = await new Promise<GroupReply>((resolve, reject) => {
      served.asked.set(requestId, { resolve, reject });
      this.#step(served, { kind: 'heartbeat', requestId, proxy, members });
    });
    return reply.kind === 'heartbeat' ? reply.refused : [];
  }

  detached(proxy: BrokerId, member: DetachedMember): void {
    this.#step(this.#requireServed(), { kind: 'detached', proxy, ...member });
  }

  close(): void {
    this.#drop();
  }

  #requireServed(): Served {
    const served = this.#follow();
    const refusal = this.#coordinator.refusal();
    if (refusal !== null) throw refusal;
    if (served === null) throw new BrokerError('BROKER_NOT_READY', 'The coordinator begins');
    return served;
  }

  /** The core of the present leadership, told what it must know; null: this broker has none. */
  #follow(): Served | null {
    const refusal = this.#coordinator.refusal();
    if (refusal !== null) {
      // While it is not heard it may yet go on in this leadership.
      if (refusal.code === 'NOT_LEADER') this.#drop();
      else if (this.#served?.isHeard === true) {
        this.#served.isHeard = false;
        this.#step(this.#served, { kind: 'heard', isHeard: false });
      }
      return this.#served;
    }
    const { epoch } = this.#coordinator;
    if (this.#served?.epoch !== epoch) this.#begin(epoch);
    const served = this.#served;
    if (served === null) return null;
    const { index, byName } = this.#parts.topics();
    if (served.topics !== byName) {
      served.topics = byName;
      this.#step(served, { kind: 'topics', metadataIndex: index, topics: byName });
    }
    if (!served.isHeard) {
      served.isHeard = true;
      this.#step(served, { kind: 'heard', isHeard: true });
    }
    return served;
  }

  #begin(epoch: number): void {
    this.#drop();
    const { clock, brokerSessionMs } = this.#parts;
    const options = { epoch, brokerSessionMs, batchRecordsMax: BATCH_RECORDS_MAX };
    const core = new Membership(this.#coordinator.image().membership, {
      ...options,
      nowMs: clock.monotonicMs(),
    });
    this.#served = { core, epoch, asked: new Map(), topics: null, isHeard: false };
  }

  #drop(): void {
    const served = this.#served;
    this.#served = null;
    const error = new BrokerError(
      'OUTCOME_UNKNOWN',
      'The coordinator lost its role before the change was committed',
    );
    for (const { reject } of served?.asked.values() ?? []) reject(error);
  }

  #step(served: Served, input: MembershipInput): void {
    const { batch, replies, messages } = served.core.step(input);
    for (const { requestId, reply } of replies) {
      const asked = served.asked.get(requestId);
      served.asked.delete(requestId);
      if (reply instanceof BrokerError) asked?.reject(reply);
      else asked?.resolve(reply);
    }
    if (messages.length > 0) this.#parts.onMessages(messages);
    if (batch !== null) void this.#write(served, batch);
  }

  async #write(served: Served, batch: MembershipBatch): Promise<void> {
    const { epoch, batchId } = batch;
    try {
      await this.#coordinator.propose({
        subject: null,
        judge: (image) => {
          // It waited for its turn, and counts in its own leadership alone.
          if (this.#coordinator.epoch !== epoch)
            throw new BrokerError('NOT_LEADER', 'Another leadership began before the change');
          return recordsOf(batch, image);
        },
      });
      this.#step(served, { kind: 'committed', epoch, batchId });
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      this.#step(served, { kind: 'lost', epoch, batchId, error });
    }
  }
}

/** With the tombstones of what goes with a group. */
function recordsOf(
  { records, removedGroups }: MembershipBatch,
  image: GroupsImage,
): readonly (GroupsRecord | StoredRecord)[] {
  const cursors = removedGroups.flatMap((group) => judgeDeletion(image, group, Infinity));
  return [...cursors, ...records];
}
