/**
 * A cluster of a run: real partition cores, the real controller, and between them a network, disks
 * and a producer that are played. Everything happens in virtual time and by chance of one seed.
 */
import { BrokerError } from '../../base/errors.ts';
import { Random } from '../../base/random.ts';
import type { ControllerRequest } from '../../broker/metadata/controller-types.ts';
import { FEATURE_LEVEL_MAX } from '../../broker/metadata/features.ts';
import type {
  AckLevel,
  AppendResult,
  PartitionOutput,
  SyncSetProposal,
} from '../../broker/replication/types.ts';
import { assignmentOf } from '../../broker/runtime/partitions/assignment.ts';
import { endOf } from '../../test/sim/replication/model-log.ts';
import { cellOf, dataHeader } from './batches.ts';
import { StageBroker } from './broker.ts';
import { CLUSTER_ID, Control, type InspectedLog, lossText, TOPIC_ID } from './control.ts';
import { Network } from './network.ts';
import type { BrokerSeen, Panel, Place, RowSeen, Say } from './picture.ts';
import { Producer } from './producer.ts';
import { Streams } from './streams.ts';
import type { Timeline } from './timeline.ts';

export interface ClusterOptions {
  readonly title: string;
  readonly brokers: readonly number[];
  readonly min: number;
  readonly mode: 'in-sync' | 'quorum';
  readonly unclean: boolean;
  readonly seed: number;
}

const TICK_MS = 25;
const HEARTBEAT_MS = 100;
const SYNC_MS = 400;
const PROPOSAL_TIMEOUT_MS = 300;
/** So long a cluster may take to be ready. */
const READY_MS_MAX = 3_000;

export class Cluster {
  readonly title: string;
  readonly #options: ClusterOptions;
  readonly #timeline: Timeline;
  readonly #say: Say;
  readonly #network: Network;
  readonly #control: Control;
  readonly #producer: Producer;
  readonly #brokers = new Map<number, StageBroker>();
  readonly #streams: Streams;
  readonly #names = new Map<number, string>();
  readonly #cutOff = new Set<number>();
  /** Batches that disks took since the first epoch had begun. */
  #writes = 0;

  constructor(options: ClusterOptions, timeline: Timeline, say: Say) {
    this.title = options.title;
    this.#options = options;
    this.#timeline = timeline;
    this.#say = say;
    this.#network = new Network(timeline, new Random(options.seed).fork('network'));
    const nameOf = (crc: number): string => this.#names.get(crc) ?? '';
    const world = {
      timeline,
      nameOf,
      output: this.#output.bind(this),
      wrote: (batches: number) => {
        this.#writes += batches;
      },
    };
    for (const id of options.brokers) this.#brokers.set(id, new StageBroker(id, world));
    this.#streams = new Streams(this.#brokers, this.#network, nameOf);
    this.#producer = new Producer(say);
    this.#control = new Control(
      {
        timeline,
        say,
        published: () => {
          for (const broker of this.#brokers.values()) this.#tell(broker);
        },
        probe: (id, answer) => {
          this.#probe(id, answer);
        },
        inspect: ({ brokerId, leaderEpoch }, answer) => {
          this.#inspect(brokerId, leaderEpoch, answer);
        },
      },
      options.seed,
    );
    this.#begin();
  }

  /** Nothing is on its way, and nobody waits for a disk. */
  get isQuiet(): boolean {
    const isWriting = [...this.#brokers.values()].some(
      ({ isBusy, isPaused }) => isBusy && !isPaused,
    );
    return this.#network.isQuiet && this.#control.isQuiet && !isWriting;
  }

  // What a script does

  append(name: string, ack: AckLevel, to: number | null): void {
    const leader = this.#control.row?.leader ?? -1;
    const broker = this.#brokers.get(to ?? leader);
    const request = this.#producer.send(name, ack, broker?.id ?? -1);
    this.#names.set(request, name);
    if (broker === undefined) {
      this.#producer.refused(request, 'nobody leads');
      return;
    }
    const header = dataHeader(request);
    this.#network.send({
      kind: 'append',
      from: 'producer',
      to: broker.id,
      text: `append ${name}, acks=${ack}`,
      cell: { ...cellOf(header, true, () => name), epoch: 0 },
      deliver: () => {
        broker.take(() => {
          broker.step({ kind: 'append', requestId: request, ack, header, wallMs: 0 });
        });
      },
    });
  }

  start(id: number): void {
    const broker = this.#broker(id);
    if (broker.process !== null) return;
    const restartClass = broker.start();
    this.#fault(`broker ${id} starts as ${restartClass}`, 'restart-classes');
    this.#register(broker);
  }

  kill(id: number): void {
    this.#fault(`broker ${id} is killed: its disk keeps what was written`, 'P2');
    this.#gone(id, (broker) => broker.end());
  }

  power(id: number): void {
    const broker = this.#broker(id);
    const lost = broker.disk.batches.filter((header) => endOf(header) > broker.disk.synced).length;
    const what = lost === 1 ? '1 batch' : `${lost} batches`;
    const loss = lost === 0 ? ': all it wrote is synced' : `, and ${what} that it had not synced`;
    this.#fault(`broker ${id} loses its power${loss}`, 'P3');
    this.#gone(id, () => broker.losePower());
  }

  empty(id: number): void {
    this.#fault(`the disk of broker ${id} is lost: an empty one takes its place`, 'P12');
    this.#gone(id, (broker) => broker.loseDisk());
  }

  /** An orderly stop: it drains, hands over, and goes. */
  stop(id: number): void {
    const { process, partition } = this.#broker(id);
    if (process === null || partition === null) return;
    this.#fault(`broker ${id} is asked to stop in order`, 'rule 22');
    process.isStopping = true;
    this.#broker(id).step({ kind: 'drain' });
  }

  pause(id: number): void {
    this.#fault(`the process of broker ${id} is paused`, '');
    this.#broker(id).isPaused = true;
  }

  resume(id: number): void {
    this.#fault(`the process of broker ${id} goes on`, '');
    this.#broker(id).resume();
  }

  /** From these places; none named: from everybody. */
  cut(id: number, from: readonly Place[]): void {
    const whom = from.length === 0 ? 'everybody' : from.map(placeText).join(', ');
    this.#fault(`broker ${id} is cut off from ${whom}`, '');
    const places = from.length === 0 ? this.#placesBeside(id) : from;
    if (places.includes('controller')) this.#cutOff.add(id);
    for (const other of places) {
      this.#network.cut(id, other);
      if (typeof other === 'number') this.#streams.close(id, other);
    }
  }

  /** Everybody reaches it, and it reaches everybody. */
  heal(id: number): void {
    this.#fault(`broker ${id} is reached again`, '');
    this.#cutOff.delete(id);
    for (const other of this.#placesBeside(id)) this.#network.heal(id, other);
  }

  slow(id: number, ms: number): void {
    this.#fault(
      ms === 0
        ? `messages of broker ${id} are as fast as others'`
        : `every message from and to broker ${id} takes ${ms} ms longer`,
      '',
    );
    this.#network.slow(id, ms);
  }

  elect(request: { readonly unclean: boolean; readonly givenUp: readonly number[] }): void {
    const { unclean, givenUp } = request;
    const asked = { kind: 'elect-leader', topic: 'orders', partition: 0, target: -1 } as const;
    this.#control.ask({ ...asked, unclean, givenUp }, (reply) => {
      if (reply instanceof BrokerError)
        this.#say({ kind: 'answer', text: `controller refuses: ${reply.message}`, rule: '' });
    });
  }

  // What there is to see

  seen(): Panel {
    return {
      title: this.title,
      row: this.#rowSeen(),
      sent: this.#producer.sent,
      brokers: [...this.#brokers.values()].map((broker) => this.#brokerSeen(broker)),
      flights: this.#network.flights,
      facts: [`${this.#writes} writes`],
    };
  }

  #brokerSeen(broker: StageBroker): BrokerSeen {
    const { id, process, isPaused } = broker;
    const status = broker.partition?.status();
    const row = this.#control.row;
    const known = this.#control.image.brokers.get(id);
    const isMember = row?.syncSet.includes(id) === true;
    const isSuspect = row?.suspects.includes(id) === true;
    return {
      id,
      state: process === null ? 'down' : isPaused ? 'paused' : 'up',
      role: process === null ? 'down' : (status?.role ?? 'registers'),
      epoch: status?.leaderEpoch ?? 0,
      standing: isSuspect ? 'suspect' : isMember ? 'in sync' : 'out of sync',
      isFenced: known?.fenced !== false,
      isCut: this.#cutOff.has(id),
      slowMs: this.#network.slowMs(id),
      note: noteOf(process?.isStopping === true, process?.restartClass),
      logs: [broker.seen()],
    };
  }

  #rowSeen(): RowSeen | null {
    const { topic, row } = this.#control;
    if (topic === undefined || row === undefined) return null;
    const { leader, leaderEpoch, syncSet, quorum, suspects } = row;
    const min = topic.config.minInSyncReplicas;
    const losses = this.#control.image.losses.map((loss) => lossText({ loss }));
    return { leader, leaderEpoch, syncSet, quorum, suspects, min, losses };
  }

  // Brokers and metadata

  #begin(): void {
    for (const broker of this.#brokers.values()) {
      broker.start();
      this.#register(broker);
      const phaseMs = HEARTBEAT_MS + 7 * broker.id;
      this.#timeline.after(phaseMs, () => {
        this.#timeline.every(HEARTBEAT_MS, () => broker.take(() => this.#heartbeat(broker)));
      });
    }
    this.#timeline.every(TICK_MS, () => this.#tick());
    this.#timeline.every(SYNC_MS, () => {
      for (const broker of this.#brokers.values()) broker.sync();
    });
  }

  /** Waits for the brokers, makes the topic, and waits until its first epoch has begun. */
  ready(): void {
    this.#waitFor(() => [...this.#control.image.brokers.values()].every(({ fenced }) => !fenced));
    const { brokers, min, mode, unclean } = this.#options;
    const config = { minInSyncReplicas: min, commitMode: mode, uncleanElection: unclean };
    this.#control.ask(
      {
        kind: 'create-topic',
        topicId: TOPIC_ID,
        name: 'orders',
        partitions: 1,
        replicationFactor: brokers.length,
        config,
        assignments: [brokers],
        validateOnly: false,
      },
      (reply) => {
        if (reply instanceof BrokerError) throw reply;
      },
    );
    this.#waitFor(() => {
      const marks = [...this.#brokers.values()].map(({ partition }) => partition?.readEnd() ?? 0);
      return marks.every((mark) => mark > 0) && this.isQuiet;
    });
    this.#writes = 0;
  }

  #waitFor(isThere: () => boolean): void {
    const endMs = this.#timeline.nowMs + READY_MS_MAX;
    while (!isThere() || this.#brokers.size !== this.#control.image.brokers.size) {
      if (this.#timeline.nowMs > endMs) throw new Error(`${this.title}: the cluster is not ready`);
      this.#timeline.pass(1);
    }
  }

  #tick(): void {
    const { nowMs } = this.#timeline;
    this.#control.tick();
    for (const broker of this.#brokers.values()) {
      if (broker.isPaused || broker.process === null) continue;
      broker.step({ kind: 'tick', nowMs });
      if (broker.process.version < this.#control.image.index) this.#tell(broker);
      this.#streams.connect(broker);
    }
  }

  #register(broker: StageBroker): void {
    const { process } = broker;
    if (process === null) return;
    const { restartClass, sessionEpoch, start } = process;
    this.#ask(broker, `register as ${restartClass}`, {
      kind: 'register',
      clusterId: CLUSTER_ID,
      brokerId: broker.id,
      directoryId: `${broker.id}-${broker.directory}`,
      sessionEpoch,
      restartClass,
      host: 'h',
      port: 1,
      rack: String(broker.id),
      featureLevelMax: FEATURE_LEVEL_MAX,
      start,
    });
  }

  #heartbeat(broker: StageBroker): void {
    const { process, partition } = broker;
    if (process === null) return;
    if (process.brokerEpoch === 0) return this.#register(broker);
    const known = this.#control.image.brokers.get(broker.id);
    const { brokerEpoch, isStopping, version } = process;
    const hasApplied = known?.brokerEpoch === brokerEpoch && version > 0;
    const isDrained = partition?.status().role !== 'leader' || partition.status().isDrained;
    this.#ask(broker, null, {
      kind: 'heartbeat',
      brokerId: broker.id,
      brokerEpoch,
      wantsUnfence: hasApplied && known.fenced && !isStopping,
      wantsStop: isStopping && isDrained,
      drains: isStopping,
      lossy: false,
      metadataIndex: version,
    });
  }

  /** Sends a request to the controller, and takes its answer. @param text null: it is not shown */
  #ask(broker: StageBroker, text: string | null, request: ControllerRequest): void {
    const { process } = broker;
    const kind = text === null ? null : 'ask';
    this.#network.send({
      kind,
      from: broker.id,
      to: 'controller',
      text: text ?? '',
      deliver: () => {
        this.#control.ask(request, (reply) => {
          const answered = (): void => {
            if (broker.process === process) this.#answered(broker, reply);
          };
          const deliver = (): void => broker.take(answered);
          this.#network.send({ kind: null, from: 'controller', to: broker.id, text: '', deliver });
        });
      },
    });
  }

  #answered(broker: StageBroker, reply: unknown): void {
    const { process } = broker;
    if (process === null) return;
    if (reply instanceof BrokerError) {
      const isOver = reply.code === 'FENCED' || reply.code === 'UNKNOWN_BROKER';
      // Another incarnation has its place: this one ends.
      if (isOver && process.brokerEpoch > 0) this.#gone(broker.id, () => broker.end());
      return;
    }
    const answer = reply as { kind: string; brokerEpoch?: number; mayStop?: boolean };
    if (answer.kind === 'register' && process.brokerEpoch === 0) {
      broker.registered(answer.brokerEpoch ?? 0);
      this.#tell(broker);
    } else if (answer.kind === 'heartbeat' && answer.mayStop === true && process.isStopping) {
      this.#fault(`broker ${broker.id} has stopped: all it wrote is synced`, 'P4');
      this.#gone(broker.id, () => broker.endCleanly());
    }
  }

  /** Metadata reaches a broker, always the newest. */
  #tell(broker: StageBroker): void {
    const { image, topic, row } = this.#control;
    const { process } = broker;
    if (process?.partition == null) return;
    const isNews = process.partition.status().partitionEpoch !== (row?.partitionEpoch ?? 0);
    this.#network.send({
      kind: isNews ? 'metadata' : null,
      from: 'controller',
      to: broker.id,
      text: row === undefined ? '' : `leader ${nameOfLeader(row.leader)}, epoch ${row.leaderEpoch}`,
      deliver: () => {
        broker.take(() => {
          if (broker.process !== process || process.version >= image.index) return;
          process.version = image.index;
          if (topic === undefined || row === undefined) return;
          broker.step({ kind: 'assign', assignment: assignmentOf(image.brokers, topic, row) });
          this.#streams.connect(broker);
        });
      },
    });
  }

  #probe(id: number, answer: (result: 'alive' | 'refused' | 'silent') => void): void {
    const { process, isPaused } = this.#broker(id);
    const isSilent = isPaused || this.#network.isCut('controller', id);
    this.#timeline.after(30, () => {
      answer(isSilent ? 'silent' : process === null ? 'refused' : 'alive');
    });
  }

  #inspect(id: number, leaderEpoch: number, answer: (log: InspectedLog) => void): void {
    const broker = this.#broker(id);
    const text = `read the log, sealed at epoch ${leaderEpoch}`;
    const reply = (): void => {
      const partition = broker.partition;
      const log = partition?.inspect(leaderEpoch) ?? null;
      const highWaterMark = partition?.readEnd() ?? 0;
      const told = log === null ? 'no evidence' : `epoch ${log.lastEpoch}, end ${log.endOffset}`;
      const deliver = (): void => answer(log === null ? null : { ...log, highWaterMark });
      this.#network.send({ kind: 'ask', from: id, to: 'controller', text: told, deliver });
    };
    const deliver = (): void => broker.take(reply);
    this.#network.send({ kind: 'metadata', from: 'controller', to: id, text, deliver });
  }

  #gone(id: number, end: (broker: StageBroker) => void): void {
    const broker = this.#broker(id);
    const wasUp = broker.process !== null;
    end(broker);
    this.#network.gone(id);
    for (const other of this.#brokers.keys()) this.#streams.close(id, other);
    this.#producer.lost(id);
    // Its connections are reset, which is noticed at once.
    if (wasUp && !this.#network.isCut('controller', id))
      this.#timeline.after(10, () => this.#control.disconnected(id));
  }

  #output(broker: StageBroker, output: PartitionOutput): void {
    const { id } = broker;
    for (const write of output.writes) {
      if (write.kind === 'truncate')
        this.#change(`broker ${id} cuts its log to end at ${write.toOffset}`, 'rule 1');
      if (write.kind === 'reset')
        this.#change(`broker ${id} drops its log and begins at ${write.start.offset}`, '');
      if (write.kind === 'control' && write.trimTo === undefined)
        this.#change(
          `broker ${id} begins epoch ${write.leaderEpoch} at ${write.baseOffset}`,
          'rule 3',
        );
    }
    for (const { requestId, result } of output.replies) this.#reply(broker, requestId, result);
    for (const { to, ...message } of output.messages)
      this.#network.send({
        kind: 'metadata',
        from: id,
        to,
        text:
          message.kind === 'diverged'
            ? `we agree up to ${message.endOffset} at most, epoch ${message.epoch}`
            : `begin at ${message.startOffset}`,
        deliver: () => {
          const to1 = this.#broker(to);
          to1.take(() => to1.step({ ...message, from: id }));
        },
      });
    if (output.position !== null) {
      const { to, position } = output.position;
      this.#streams.state(broker, to, position);
    }
    if (output.proposal !== null) this.#propose(broker, output.proposal);
    if (output.stopped !== null) this.#fault(`broker ${id} stops: ${output.stopped}`, '');
    if (output.refused !== null) this.#fault(`broker ${id} refuses: ${output.refused.reason}`, '');
    this.#streams.pump(broker);
  }

  #reply(broker: StageBroker, request: number, result: AppendResult): void {
    const text = result.ok ? `stored at ${result.baseOffset}` : result.error.code;
    this.#network.send({
      kind: 'answer',
      from: broker.id,
      to: 'producer',
      text,
      deliver: () => this.#producer.answered(request, result),
    });
  }

  #propose(broker: StageBroker, proposal: SyncSetProposal): void {
    const { process } = broker;
    if (process === null) return;
    const { proposalId, leaderEpoch, partitionEpoch, change } = proposal;
    let isAnswered = false;
    const answer = (error: BrokerError | null): void => {
      if (isAnswered || broker.process !== process) return;
      isAnswered = true;
      broker.step({ kind: 'sync-set-result', leaderEpoch, proposalId, error });
    };
    const about = { topicId: TOPIC_ID, partition: 0, leaderEpoch, partitionEpoch, change };
    const { id } = broker;
    const { brokerEpoch } = process;
    this.#network.send({
      kind: 'ask',
      from: id,
      to: 'controller',
      text: Object.values(change).slice(0, 2).join(' '),
      deliver: () => {
        this.#control.ask(
          { kind: 'alter-sync-set', brokerId: id, brokerEpoch, ...about },
          (reply) => {
            const error = reply instanceof BrokerError ? reply : null;
            const deliver = (): void => broker.take(() => answer(error));
            this.#network.send({ kind: null, from: 'controller', to: id, text: '', deliver });
          },
        );
      },
    });
    this.#timeline.after(PROPOSAL_TIMEOUT_MS, () =>
      broker.take(() => answer(new BrokerError('UNREACHABLE', 'no answer'))),
    );
  }

  // Small things

  #broker(id: number): StageBroker {
    const broker = this.#brokers.get(id);
    if (broker === undefined) throw new Error(`there is no broker ${id}`);
    return broker;
  }

  #placesBeside(id: number): Place[] {
    const others = [...this.#brokers.keys()].filter((other) => other !== id);
    return [...others, 'controller', 'producer'];
  }

  #fault(text: string, rule: string): void {
    this.#say({ kind: 'fault', text, rule });
  }

  #change(text: string, rule: string): void {
    this.#say({ kind: 'change', text, rule });
  }
}

function placeText(place: Place): string {
  return typeof place === 'number' ? `broker ${place}` : `the ${place}`;
}

function nameOfLeader(leader: number): string {
  return leader === -1 ? 'none' : String(leader);
}

function noteOf(isStopping: boolean, restartClass: string | undefined): string {
  if (isStopping) return 'stops in order';
  return restartClass === undefined || restartClass === 'new' ? '' : `started ${restartClass}`;
}
