/** Answers of the controller in the walk, and what the walk counts. */
import { BrokerError } from '../../../base/errors.ts';
import type {
  ControllerReply,
  ControllerRequest,
} from '../../../broker/metadata/controller-types.ts';

export type Reply = ControllerReply | BrokerError;

/**
 * Requests that a broker repeats by itself. What a person asks is not repeated: it does not name
 * what it changes.
 */
export const REPEATED: ReadonlySet<ControllerRequest['kind']> = new Set([
  'register',
  'heartbeat',
  'alter-sync-set',
  'alter-sync-sets',
]);

/** What was answered for one of many changes. */
export function ownReply(reply: Reply, at: number): Reply {
  if (reply instanceof BrokerError || reply.kind !== 'alter-sync-sets') return reply;
  const outcome = reply.outcomes[at];
  return outcome instanceof BrokerError
    ? outcome
    : { kind: 'alter-sync-set', partitionEpoch: outcome ?? 0 };
}

export interface Stats {
  commits: number;
  losses: number;
  leaders: number;
  lossyEvents: number;
  controllers: number;
  moves: number;
  handOvers: number;
  /** Changes of sync sets in requests that may hold many. */
  together: number;
  removals: number;
  late: number;
  unable: number;
}

export function emptyStats(): Stats {
  return {
    ...{ commits: 0, losses: 0, leaders: 0, lossyEvents: 0, controllers: 0, moves: 0 },
    ...{ handOvers: 0, together: 0, removals: 0, late: 0, unable: 0 },
  };
}
