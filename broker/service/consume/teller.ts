/**
 * Brings what coordinators of this broker tell members to their proxies. One call at a time to each
 * broker; what is lost on the way, members learn by their next heartbeat.
 */
import { MembersServiceService } from '../../../proto/gen/tidemark/internal/v1/members.ts';
import { PARTITIONS_PER_TOPIC_MAX } from '../../../base/limits.ts';
import type { BrokerId } from '../../../base/units.ts';
import type { MemberMessage } from '../../groups/membership/types.ts';
import { expected, type ReportDefect } from '../../messages/handlers.ts';
import type { Cluster } from '../cluster.ts';
import { memberMessageToWire } from './members-codec.ts';

/** Of messages that wait for one broker; the oldest give way. */
const WAITING_MAX = 20_000;
/** Partitions that the views of one call name, 30 bytes each; one view may name more. */
const PARTITIONS_PER_CALL = 10 * PARTITIONS_PER_TOPIC_MAX;
const DEADLINE_MS = 2_000;

interface Line {
  waiting: MemberMessage[];
  isCalling: boolean;
}

export interface TellerParts {
  readonly cluster: Cluster;
  readonly report: ReportDefect;
  /** Takes what is for members of this broker. */
  readonly onOwn: (messages: readonly MemberMessage[]) => void;
}

export class Teller {
  readonly #parts: TellerParts;
  readonly #lines = new Map<BrokerId, Line>();

  constructor(parts: TellerParts) {
    this.#parts = parts;
  }

  tell(messages: readonly MemberMessage[]): void {
    const { cluster, onOwn } = this.#parts;
    for (const [proxy, some] of Map.groupBy(messages, (message) => message.proxy)) {
      if (cluster.isSelf(proxy)) {
        onOwn(some);
        continue;
      }
      let line = this.#lines.get(proxy);
      if (line === undefined) this.#lines.set(proxy, (line = { waiting: [], isCalling: false }));
      line.waiting.push(...some);
      if (line.waiting.length > WAITING_MAX) line.waiting = line.waiting.slice(-WAITING_MAX);
      if (!line.isCalling) void this.#send(proxy, line);
    }
  }

  async #send(proxy: BrokerId, line: Line): Promise<void> {
    const { cluster, report } = this.#parts;
    line.isCalling = true;
    while (line.waiting.length > 0) {
      const messages = takeSome(line.waiting).map(memberMessageToWire);
      const request = { coordinator: cluster.broker.brokerId, messages };
      const method = MembersServiceService.tellMembers;
      try {
        await cluster.forward(proxy, method, request, { deadlineMs: DEADLINE_MS, principal: '' });
      } catch (error) {
        // Its members ask again, by it or by another.
        expected(error, report);
      }
    }
    this.#lines.delete(proxy);
  }
}

function takeSome(waiting: MemberMessage[]): MemberMessage[] {
  let partitions = 0;
  const last = waiting.findIndex((message) => {
    if (message.kind !== 'view') return false;
    partitions += message.view.assigned.length + message.view.revoked.length;
    return partitions >= PARTITIONS_PER_CALL;
  });
  return waiting.splice(0, last < 0 ? waiting.length : last + 1);
}
