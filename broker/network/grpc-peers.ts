/** The port `Peers` over gRPC: other brokers, both directions. Owns addresses, the raft links and the replication streams. */
import type { Client } from '@grpc/grpc-js';

import { QuorumServiceService } from '../../proto/gen/tidemark/internal/v1/quorum.ts';
import { ReplicationServiceService } from '../../proto/gen/tidemark/internal/v1/replication.ts';
import { callUnary } from '../../proto/grpc/calls.ts';
import { serializeReplicate } from '../../proto/grpc/frame-messages.ts';
import { assert } from '../base/assert.ts';
import { BrokerError } from '../base/errors.ts';
import type { BrokerId } from '../base/units.ts';
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
import type { ChannelPool, Lane } from './channel-pool.ts';
import { replyFromMessage, requestToMessage } from './controller-codec.ts';
import { type FollowerHello, FollowerStream } from './follower-stream.ts';
import type { GrpcServer } from './grpc-server.ts';
import { type LeaderCall, takeFollower } from './leader-stream.ts';
import type { ReportDefect } from '../wire/handlers.ts';
import { Presence } from './presence.ts';
import { probe } from './probe.ts';
import { quorumService } from './quorum-service.ts';
import { RaftLink } from './raft-link.ts';

export class GrpcPeers implements Peers {
  readonly #channels: ChannelPool;
  readonly #presence = new Presence((brokerId) => this.#handler?.onDisconnected(brokerId));
  readonly #raftLinks = new Map<BrokerId, RaftLink>();
  readonly #followed = new Set<FollowerStream>();
  #addresses: ReadonlyMap<BrokerId, Address> = new Map();
  #handler: PeerHandler | null = null;

  /** Adds the internal services to `server`, which listens later. The caller closes server and channels after this. */
  constructor(server: GrpcServer, channels: ChannelPool, report: ReportDefect) {
    this.#channels = channels;
    const handler = (): PeerHandler => this.#served();
    server.add(QuorumServiceService, quorumService(handler, this.#presence, report));
    const definition = {
      replicate: { ...ReplicationServiceService.replicate, responseSerialize: serializeReplicate },
    };
    server.add(definition, {
      replicate: (call: LeaderCall) => takeFollower(call, handler, this.#presence, report),
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
    this.#channels.retain(addresses.values());
  }

  sendRaft(from: Peer, { to, message }: Envelope): void {
    let link = this.#raftLinks.get(to.brokerId);
    if (link === undefined) {
      if (!this.#addresses.has(to.brokerId)) return;
      link = new RaftLink(to.brokerId, this.#presence, () => this.#dial(to.brokerId, 'control'));
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
      { deadlineMs },
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
      { deadlineMs },
    );
    if (!answer.known) return null;
    const { lastEpoch, endOffset, highWaterMark } = answer;
    return { lastEpoch, endOffset, ...(highWaterMark === undefined ? {} : { highWaterMark }) };
  }

  probe(address: Address, deadlineMs: number): Promise<NodeInfo | null> {
    return probe(address, deadlineMs);
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

  #dial(brokerId: BrokerId, lane: Lane): Client | null {
    const address = this.#addresses.get(brokerId);
    return address === undefined ? null : this.#channels.dial(address, lane);
  }

  #reach(brokerId: BrokerId): Client {
    const client = this.#dial(brokerId, 'control');
    if (client === null)
      throw new BrokerError('BROKER_NOT_READY', `No address of broker ${brokerId} is known`);
    return client;
  }
}
