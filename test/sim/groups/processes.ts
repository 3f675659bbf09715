/** Model of what reads: processes that are members, and the brokers that they are attached to. */
import { partitionKey } from '../../../base/units.ts';
import type { MemberView } from '../../../broker/groups/membership/types.ts';

/** Of what it is told, a proxy delivers so long a part of a session without an answer. */
const DELIVERS = 2 / 3;

/** A broker, as members see it. */
export class Proxy {
  readonly id: number;
  isAlive = true;

  constructor(id: number) {
    this.id = id;
  }
}

/** A process that reads, under one member id after another. */
export class Process {
  readonly group: string;
  readonly instanceId: string;
  readonly topics: readonly string[];
  readonly rack: string;
  readonly sessionMs: number;
  readonly graceMs: number;
  readonly returnMs: number;
  memberId: string;
  attempt = 0;
  /** Request by which it wants to attach; 0: none. */
  pendingRequest = 0;
  pendingSinceMs = 0;
  proxy: Proxy | null = null;
  attachment = 0;
  /** The one before: a stream that is left may yet commit. */
  formerAttachment = 0;
  /** Of the last view that it applied. */
  epoch = 0;
  /** Epoch in which it was given each. */
  reading = new Map<string, number>();
  /** Told, and not applied yet. */
  told: MemberView | null = null;
  isAlive = true;
  isPaused = false;
  /** When the last heartbeat or join was sent that was answered. */
  answeredMs = 0;

  constructor(fields: {
    readonly group: string;
    readonly memberId: string;
    readonly instanceId: string;
    readonly topics: readonly string[];
    readonly rack: string;
    readonly sessionMs: number;
    readonly graceMs: number;
    readonly returnMs: number;
  }) {
    this.group = fields.group;
    this.memberId = fields.memberId;
    this.instanceId = fields.instanceId;
    this.topics = fields.topics;
    this.rack = fields.rack;
    this.sessionMs = fields.sessionMs;
    this.graceMs = fields.graceMs;
    this.returnMs = fields.returnMs;
  }

  get isAttached(): boolean {
    return this.isAlive && this.proxy?.isAlive === true;
  }

  /** Whether records reach it at this moment. */
  isDelivering(nowMs: number): boolean {
    return this.isAttached && !this.isPaused && nowMs - this.answeredMs < DELIVERS * this.sessionMs;
  }

  /** A view reached its proxy. Older ones than it was told do not count. */
  tell(view: MemberView): void {
    if (view.epoch > Math.max(this.epoch, this.told?.epoch ?? 0)) this.told = view;
  }

  /** Lets go what it shall, and begins what is new. */
  apply(): void {
    if (this.told === null) return;
    this.epoch = this.told.epoch;
    this.reading = new Map(
      this.told.assigned.map(({ topicId, partition, epoch }) => [
        partitionKey(topicId, partition),
        epoch,
      ]),
    );
    this.told = null;
  }

  detach(): void {
    if (this.attachment > 0) this.formerAttachment = this.attachment;
    this.proxy = null;
    this.attachment = 0;
  }

  /** It is no member any more, and begins as another. */
  beginAs(memberId: string): void {
    this.detach();
    this.memberId = memberId;
    this.attempt = 0;
    this.pendingRequest = 0;
    this.epoch = 0;
    this.reading = new Map();
    this.told = null;
  }
}
