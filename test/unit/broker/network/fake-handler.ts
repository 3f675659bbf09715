/** A runtime that records what the network tells it, and answers as it is told. */
import { BrokerError } from '../../../../base/errors.ts';
import type {
  ControllerReply,
  ControllerRequest,
} from '../../../../broker/metadata/controller-types.ts';
import type { Peer, RaftMessage } from '../../../../broker/raft/types.ts';
import type { Position } from '../../../../broker/replication/types.ts';
import type {
  FollowerLink,
  InspectedLog,
  Inspection,
  NodeInfo,
  PeerHandler,
} from '../../../../broker/runtime/ports.ts';

export const CLUSTER_ID = '11111111-1111-4111-8111-111111111111';

export function directoryOf(brokerId: number): string {
  return `00000000-0000-4000-8000-${String(brokerId).padStart(12, '0')}`;
}

export function peerOf(brokerId: number): Peer {
  return { brokerId, directoryId: directoryOf(brokerId) };
}

/** Calls waiters whenever something was recorded. */
export class FakeHandler implements PeerHandler {
  readonly brokerId: number;
  readonly raft: { readonly from: Peer; readonly to: Peer; readonly message: RaftMessage }[] = [];
  readonly refused: string[] = [];
  readonly followers: { readonly link: FollowerLink; readonly targetEpoch: number }[] = [];
  readonly positions: { readonly partition: number; readonly position: Position }[] = [];
  readonly disconnected: number[] = [];
  readonly closedLinks: FollowerLink[] = [];
  credits = 0;
  refuseFollower: BrokerError | null = null;
  decide: (request: ControllerRequest) => Promise<ControllerReply> = async () => {
    throw new BrokerError('NOT_CONTROLLER', 'Not me', { controller: 7 });
  };
  inspect: (inspection: Inspection) => Promise<InspectedLog | null> = async () => null;
  readonly #waiters = new Set<() => void>();

  constructor(brokerId: number) {
    this.brokerId = brokerId;
  }

  /** Resolves once `isMet` holds. */
  until(isMet: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!isMet()) return;
        this.#waiters.delete(look);
        resolve();
      };
      this.#waiters.add(look);
      look();
    });
  }

  notify(): void {
    for (const look of [...this.#waiters]) look();
  }

  onRaft(from: Peer, to: Peer, message: RaftMessage): void {
    this.raft.push({ from, to, message });
    this.notify();
  }

  onRaftRefused(reason: string): void {
    this.refused.push(reason);
    this.notify();
  }

  onFollower(link: FollowerLink, targetEpoch: number): void {
    if (this.refuseFollower !== null) throw this.refuseFollower;
    this.followers.push({ link, targetEpoch });
    this.notify();
  }

  onPosition(_link: FollowerLink, _topicId: string, partition: number, position: Position): void {
    this.positions.push({ partition, position });
    this.notify();
  }

  onCredit(): void {
    this.credits += 1;
    this.notify();
  }

  onFollowerClosed(link: FollowerLink): void {
    this.closedLinks.push(link);
    this.notify();
  }

  onController(request: ControllerRequest): Promise<ControllerReply> {
    return this.decide(request);
  }

  onInspect(inspection: Inspection): Promise<InspectedLog | null> {
    return this.inspect(inspection);
  }

  nodeInfo(): NodeInfo {
    return {
      brokerId: this.brokerId,
      directoryId: directoryOf(this.brokerId),
      clusterId: CLUSTER_ID,
      brokerEpoch: 10 + this.brokerId,
      controller: 3,
      controllerAddress: { host: 'controller', port: 9_641 },
    };
  }

  onDisconnected(brokerId: number): void {
    this.disconnected.push(brokerId);
    this.notify();
  }
}
