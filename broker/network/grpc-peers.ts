/**
 * The port `Peers` over gRPC: other brokers, both directions. Owns addresses, the raft links and
 * the replication streams.
 */
import { QuorumServiceService } from '../../proto/gen/tidemark/internal/v1/quorum.ts';
import { ReplicationServiceService } from '../../proto/gen/tidemark/internal/v1/replication.ts';
import { callUnary } from '../../wire/grpc/calls.ts';
import type { Channel, ServiceHost } from '../../wire/grpc/channel.ts';
import { serializeReplicate } from '../../wire/grpc/frame-messages.ts';
import type { Clock } from '../../base/clock.ts';
import { assert } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import type { BrokerId } from '../../base/units.ts';
import type { Decision, ControllerRequest } from '../metadata/controller-types.ts';
import type { Envelope, Peer } from '../raft/types.ts';
import type {
  Address,
  InspectedLog,
  Inspection,
  NodeInfo,
  PeerHandler,
  Peers,
  ReplicaStream,
  ReplicaStreamEvents,
} from '../runtime/ports.ts';
import type { Lane } from './channel-pool.ts';
import { replyFromMessage, requestToMessage } from '../messages/controller-codec.ts';
import { type FollowerHello, FollowerStream } from './follower-stream.ts';
import { type LeaderCall, takeFollower } from './leader-stream.ts';
import type { ReportDefect } from '../messages/handlers.ts';
import { Presence } from './presence.ts';
import { quorumService } from './quorum-service.ts';
import { RaftLink } from './raft-link.ts';

/** What {@link GrpcPeers} is made of. */
export interface GrpcPeersParts {
  readonly server: ServiceHost;
  readonly channels: Channels;
  /** Asks an address who it is: see probe.ts. */
  readonly probe: Peers['probe'];
  readonly clock: Pick<Clock, 'monotonicMs' | 'wallMs' | 'soon'>;
  readonly report: ReportDefect;
}

/** Connections to other brokers: see channel-pool.ts. */
export interface Channels {
  /** Do not keep it: the next call may need another. */
  dial(address: Address, lane: Lane, brokerId: BrokerId): Channel;
  /** Closes connections to all other addresses. */
  retain(addresses: Iterable<Address>): void;
}

export class GrpcPeers implements Peers {
  readonly #parts: GrpcPeersParts;
  readonly #presence = new Presence((brokerId) => this.#handler?.onDisconnected(brokerId));
  readonly #raftLinks = new Map<BrokerId, RaftLink>();
  readonly #followed = new Set<FollowerStream>();
  #addresses: ReadonlyMap<BrokerId, Address> = new Map();
  #handler: PeerHandler | null = null;

  /**
   * Adds the internal services to the server, which listens later. The caller closes server and
   * channels after this.
   */
  constructor(given: GrpcPeersParts) {
    const { server, clock, report } = given;
    this.#parts = given;
    const handler = (): PeerHandler => this.#served();
    const parts = { presence: this.#presence, clock, report };
    server.add(QuorumServiceService, quorumService(handler, parts));
    const definition = {
      replicate: { ...ReplicationServiceService.replicate, responseSerialize: serializeReplicate },
    };
    server.add(definition, {
      replicate: (call: LeaderCall) => takeFollower(call, handler, parts),
    });
  }

  serve(handler: PeerHandler): void {
    assert(this.#handler === null, 'peers are served twice');
    this.#handler = handler;
  }

  setAddresses(addresses: ReadonlyMap<BrokerId, Address>): void {
    for (const [brokerId, link] of this.#raftLinks) {
      const [before, after] = [this.#addresses.get(brokerId), addresses.get(brokerId)];
      if (before?.host === after?.host && before?.port === after?.port) continue;
      link.close();
      this.#raftLinks.delete(brokerId);
    }
    this.#addresses = new Map(addresses);
    this.#parts.channels.retain(addresses.values());
  }

  sendRaft(from: Peer, { to, message }: Envelope): void {
    let link = this.#raftLinks.get(to.brokerId);
    if (link === undefined) {
      if (!this.#addresses.has(to.brokerId)) return;
      link = new RaftLink(to.brokerId, this.#presence, this.#parts.clock, () =>
        this.#dial(to.brokerId, 'control'),
      );
      this.#raftLinks.set(to.brokerId, link);
    }
    link.send({ from, to, message });
  }

  async callController(
    brokerId: BrokerId,
    request: ControllerRequest,
    deadlineMs: number,
  ): Promise<Decision> {
    const client = this.#reach(brokerId);
    const message = await callUnary(
      client,
      QuorumServiceService.decide,
      requestToMessage(request),
      { deadlineMs, clock: this.#parts.clock },
    );
    return replyFromMessage(request.kind, message);
  }

  async callInspect(
    brokerId: BrokerId,
    inspection: Inspection,
    deadlineMs: number,
  ): Promise<InspectedLog | null> {
    const answer = await callUnary(
      this.#reach(brokerId),
      QuorumServiceService.inspect,
      { ...inspection },
      { deadlineMs, clock: this.#parts.clock },
    );
    if (!answer.known) return null;
    const { lastEpoch, endOffset, highWaterMark, start } = answer;
    return {
      lastEpoch,
      endOffset,
      ...(highWaterMark === undefined ? {} : { highWaterMark }),
      ...(start === undefined ? {} : { start }),
    };
  }

  probe(address: Address, deadlineMs: number): Promise<NodeInfo | null> {
    return this.#parts.probe(address, deadlineMs);
  }

  follow(brokerId: BrokerId, hello: FollowerHello, events: ReplicaStreamEvents): ReplicaStream {
    const client = this.#dial(brokerId, 'data');
    const onClosed = (stream: FollowerStream): void => void this.#followed.delete(stream);
    const stream = new FollowerStream({
      brokerId,
      hello,
      events,
      presence: this.#presence,
      client,
      clock: this.#parts.clock,
      onClosed,
    });
    this.#followed.add(stream);
    return stream;
  }

  async close(): Promise<void> {
    for (const link of this.#raftLinks.values()) link.close();
    this.#raftLinks.clear();
    for (const stream of this.#followed) stream.close();
  }

  #served(): PeerHandler {
    if (this.#handler === null) throw new BrokerError('BROKER_NOT_READY', 'The broker is starting');
    return this.#handler;
  }

  #dial(brokerId: BrokerId, lane: Lane): Channel | null {
    const address = this.#addresses.get(brokerId);
    return address === undefined ? null : this.#parts.channels.dial(address, lane, brokerId);
  }

  #reach(brokerId: BrokerId): Channel {
    const client = this.#dial(brokerId, 'control');
    if (client === null)
      throw new BrokerError('BROKER_NOT_READY', `No address of broker ${brokerId} is known`);
    return client;
  }
}
