/** What the parts of the controller may ask of it. Every proposal changes `image` at once. */
import type { OnFact } from '../../../base/events.ts';
import type { BrokerError } from '../../../base/errors.ts';
import type { MonotonicMs, WallMs } from '../../../base/units.ts';
import type { ControllerOutput, ControllerReply } from '../controller-types.ts';
import type { BrokerView } from '../leader-election.ts';
import type { MetadataImage, MetadataRecord } from '../types.ts';

export interface Desk {
  /** Committed, plus everything proposed. */
  readonly image: MetadataImage;
  readonly view: BrokerView;
  readonly nowMs: MonotonicMs;
  readonly wallMs: WallMs;
  /** The last proposal made; 0 for none. */
  readonly lastProposalId: number;
  isCommitted(proposalId: number): boolean;
  propose(records: readonly MetadataRecord[]): void;
  /** Answers once everything proposed so far is committed. */
  reply(requestId: number, reply: ControllerReply | BrokerError): void;
  inspect(inspection: ControllerOutput['inspections'][number]): void;
  fact: OnFact;
}
