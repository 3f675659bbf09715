/**
 * Proposals on their way to the metadata log, and the answers that wait for them: no answer rests
 * on what might still be undone.
 */
import { assert } from '../../../base/assert.ts';
import type { BrokerError } from '../../../base/errors.ts';
import type { ControllerReply } from '../controller-types.ts';

/** An answer to a request. */
export interface Answer {
  readonly requestId: number;
  readonly reply: ControllerReply | BrokerError;
}

export class Ledger {
  #lastProposalId = 0;
  #committedProposalId = 0;
  /** In the order of their proposals. */
  #waiting: (Answer & { readonly proposalId: number })[] = [];

  /** The last proposal made; 0 for none. */
  get lastProposalId(): number {
    return this.#lastProposalId;
  }

  /** Answers that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Number of the next proposal. */
  next(): number {
    this.#lastProposalId += 1;
    return this.#lastProposalId;
  }

  isCommitted(proposalId: number): boolean {
    return proposalId <= this.#committedProposalId;
  }

  /**
   * Keeps an answer until everything proposed so far is committed; returns it when that is so
   * already.
   */
  answer(answer: Answer): readonly Answer[] {
    if (this.isCommitted(this.#lastProposalId)) return [answer];
    this.#waiting.push({ ...answer, proposalId: this.#lastProposalId });
    return [];
  }

  /** The next proposal is committed. Returns the answers that waited for it. */
  committed(proposalId: number): readonly Answer[] {
    assert(
      proposalId === this.#committedProposalId + 1,
      `proposal ${String(proposalId)} was committed, ${String(this.#committedProposalId + 1)} must be next`,
    );
    this.#committedProposalId = proposalId;
    const due = this.#waiting.filter((waiting) => waiting.proposalId <= proposalId);
    this.#waiting = this.#waiting.filter((waiting) => waiting.proposalId > proposalId);
    return due.map(({ requestId, reply }) => ({ requestId, reply }));
  }
}
