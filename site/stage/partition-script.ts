/**
 * Carries out a script over the partition cores of a few brokers, without a controller: what it
 * would decide is said by the script. Everything is explicit: `flow` carries writes, positions and
 * pushes between the brokers it names until all is quiet.
 */
import { BrokerError } from '../../base/errors.ts';
import { Partition, type PartitionStatus } from '../../broker/replication/partition.ts';
import type {
  AppendResult,
  Assignment,
  LogWrite,
  PartitionInput,
  PartitionOutput,
} from '../../broker/replication/types.ts';
import { type BatchHeader, NO_SEQUENCE } from '../../wire/batch/frame.ts';
import { cellOf, PLAIN } from './batches.ts';
import type { BrokerSeen, Flight, FlightKind, Line, LineKind, Panel } from './picture.ts';
import type { Script } from './script.ts';
import { endOf, ModelLog } from '../../test/sim/replication/model-log.ts';

type Frames = Extract<PartitionInput, { kind: 'frames' }>;

interface Broker {
  readonly id: number;
  epoch: number;
  disk: ModelLog;
  partition: Partition;
  writes: { write: LogWrite; headers: readonly BatchHeader[] }[];
  /** Inputs on their way, by sender. */
  inbox: { from: number; input: PartitionInput; line: string; key: number }[];
}

type Args = ReadonlyMap<string, string>;

/** A script without time is shown at this pace. */
const STEP_MS = 20;

export class PartitionScript implements Script {
  onEvent: () => void = () => undefined;
  readonly #brokers = new Map<number, Broker>();
  readonly #requests = new Map<number, BatchHeader>();
  readonly #fenced = new Set<number>();
  #lines: string[] = [];
  #nowMs = 0;
  #steps = 0;
  #sent = 0;
  #partitionEpoch = 0;

  get nowMs(): number {
    return this.#steps * STEP_MS;
  }

  takeLines(): Line[] {
    const lines = this.#lines.map(
      (text): Line => ({ kind: kindOf(text), atMs: null, text, rule: '' }),
    );
    this.#lines = [];
    return lines;
  }

  seen(): Panel[] {
    const brokers = [...this.#brokers.values()];
    const flights = brokers.flatMap(({ id, inbox }) =>
      inbox.map(({ from, input, line, key }) => this.#flight(from, id, { input, line, key })),
    );
    const panel = { title: '', row: null, sent: null, flights, facts: [] };
    return [{ ...panel, brokers: brokers.map((broker) => this.#seen(broker)) }];
  }

  /** One command line: `name positional... key=value...`. */
  run(command: string): void {
    const [name = '', ...words] = command.split(' ');
    const ids = words.filter((word) => !word.includes('=')).map(Number);
    const args: Args = new Map(
      words.filter((word) => word.includes('=')).map((word) => word.split('=') as [string, string]),
    );
    this.#dispatch(name, ids, args);
    this.#look();
  }

  #look(): void {
    this.#steps += 1;
    this.onEvent();
  }

  #seen({ id, epoch, partition, disk, writes }: Broker): BrokerSeen {
    const status = partition.status();
    const cells = [
      ...disk.held.map((header) => cellOf(header, true, nameOf)),
      ...writes.flatMap(({ headers }) => headers.map((header) => cellOf(header, false, nameOf))),
    ];
    const { logStart: start, highWaterMark: mark, role, leaderEpoch } = status;
    return {
      id,
      state: 'up',
      role,
      epoch: leaderEpoch,
      standing: status.suspects.includes(id)
        ? 'suspect'
        : status.syncSet.includes(id)
          ? 'in sync'
          : 'out of sync',
      isFenced: this.#fenced.has(id),
      isCut: false,
      slowMs: 0,
      note: `incarnation ${epoch}`,
      logs: [{ title: '', start, cells, mark, synced: null }],
    };
  }

  #flight(
    from: number,
    to: number,
    { input, line, key }: Pick<Broker['inbox'][number], 'input' | 'line' | 'key'>,
  ): Flight {
    const header = input.kind === 'frames' ? input.headers[0] : undefined;
    const kind: FlightKind =
      input.kind === 'position'
        ? 'position'
        : input.kind !== 'frames'
          ? 'metadata'
          : header === undefined
            ? 'mark'
            : 'frames';
    const cell = header === undefined ? null : cellOf(header, true, nameOf);
    return { key, kind, from, to, text: line, cell };
  }

  #dispatch(name: string, ids: readonly number[], args: Args): void {
    const [id = 0] = ids;
    if (name === 'brokers')
      for (const each of ids) this.#brokers.set(each, this.#open(each, 10 + each, new ModelLog()));
    else if (name === 'assign') this.#assign(ids, args);
    else if (name === 'append') this.#append(id, args);
    else if (name === 'write') this.#write(this.#broker(id));
    else if (name === 'flow') this.#flow(ids);
    else if (name === 'tick') this.#tick(ids, args);
    else if (name === 'cut') this.#cut(id);
    else if (name === 'restart') this.#restart(id, args);
    else if (name === 'retire')
      this.#step(this.#broker(id), { kind: 'retire', offset: number(args, 'offset') });
    else if (name === 'trim')
      this.#step(this.#broker(id), {
        kind: 'trim',
        requestId: number(args, 'request'),
        offset: number(args, 'to'),
      });
    else if (name === 'inspect')
      for (const each of ids) this.#inspect(this.#broker(each), number(args, 'epoch'));
    else if (name === 'fence') this.#fenced.add(id);
    else if (name === 'unfence') this.#fenced.delete(id);
    else if (name === 'result')
      this.#step(this.#broker(id), {
        kind: 'sync-set-result',
        leaderEpoch: this.#broker(id).partition.status().leaderEpoch,
        proposalId: number(args, 'proposal'),
        error: result(args),
      });
    else if (name === 'status') for (const broker of this.#brokers.values()) this.#status(broker);
    else throw new Error(`unknown command ${name}`);
  }

  #open(id: number, epoch: number, disk: ModelLog): Broker {
    const options = {
      self: id,
      selfEpoch: epoch,
      key: 'topic/0',
      lagMsMax: 1_000,
      appendsPendingMax: 10,
      nowMs: this.#nowMs,
    };
    return {
      id,
      epoch,
      disk,
      partition: new Partition(options, disk.recover(), disk.producers()),
      writes: [],
      inbox: [],
    };
  }

  #assign(ids: readonly number[], args: Args): void {
    this.#partitionEpoch = number(args, 'pe', this.#partitionEpoch + 1);
    const syncSet = list(args, 'sync');
    const assignment: Assignment = {
      leader: number(args, 'leader'),
      leaderEpoch: number(args, 'epoch'),
      partitionEpoch: this.#partitionEpoch,
      replicas: [...this.#brokers.values()].map(({ id, epoch }) => ({
        brokerId: id,
        brokerEpoch: epoch,
        fenced: this.#fenced.has(id),
        stopping: false,
      })),
      syncSet,
      quorum: number(args, 'q', syncSet.length),
      suspects: list(args, 'suspects'),
      uncleanEpoch: number(args, 'unclean', 0),
      successor: number(args, 'successor', -1),
      minInSyncReplicas: 2,
      commitMode: args.get('mode') === 'quorum' ? 'quorum' : 'in-sync',
      batchBytesMax: 1_000,
    };
    for (const id of ids) this.#step(this.#broker(id), { kind: 'assign', assignment });
  }

  #append(id: number, args: Args): void {
    const requestId = number(args, 'request');
    const recordCount = number(args, 'count', 1);
    const producerId = number(args, 'producer', 0);
    const header: BatchHeader = {
      ...PLAIN,
      crc: number(args, 'crc', requestId),
      lastOffsetDelta: recordCount - 1,
      recordCount,
      baseSequence: producerId === 0 ? NO_SEQUENCE : number(args, 'sequence'),
      producerId,
    };
    this.#requests.set(requestId, header);
    const ack = args.get('ack') === 'leader' ? 'leader' : 'all';
    this.#step(this.#broker(id), { kind: 'append', requestId, ack, header, wallMs: 0 });
  }

  #tick(ids: readonly number[], args: Args): void {
    this.#nowMs += number(args, 'ms');
    for (const id of ids) this.#step(this.#broker(id), { kind: 'tick', nowMs: this.#nowMs });
  }

  /** The broker's streams end: what is on its way to or from it is gone. */
  #cut(id: number): void {
    for (const broker of this.#brokers.values()) {
      broker.inbox = broker.inbox.filter(({ from }) => from !== id && broker.id !== id);
      broker.partition.followerGone(id);
    }
    for (const broker of this.#brokers.values()) this.#broker(id).partition.followerGone(broker.id);
  }

  #inspect({ id, partition }: Broker, epoch: number): void {
    const log = partition.inspect(epoch);
    const { offset, epoch: before, retiredTo } = log?.start ?? {};
    this.#lines.push(
      log === null
        ? `${id} says nothing`
        : `${id} last=${log.lastEpoch} end=${log.endOffset} start=${offset} after epoch=${before} retired to=${retiredTo}`,
    );
  }

  /**
   * A new incarnation. `keep`: a lossy one, whose log ends there. `from`: it has lost what stood
   * before.
   */
  #restart(id: number, args: Args): void {
    const { disk, epoch } = this.#broker(id);
    disk.batches.length = disk.indexOf(number(args, 'keep', Infinity));
    const from = number(args, 'from', 0);
    disk.batches.splice(0, disk.indexOf(from));
    disk.start = Math.max(disk.start, from);
    disk.checkpoint = Math.min(number(args, 'hw', 0), disk.end);
    this.#cut(id);
    this.#brokers.set(id, this.#open(id, epoch + 10, disk));
  }

  #flow(ids: readonly number[]): void {
    for (let isQuiet = false; !isQuiet; ) {
      isQuiet = true;
      for (const id of ids) if (this.#advance(this.#broker(id), ids)) isQuiet = false;
    }
  }

  /** Writes, takes one message in, and pushes. @returns false when there was nothing to do */
  #advance(broker: Broker, ids: readonly number[]): boolean {
    let isBusy = broker.writes.length > 0;
    while (broker.writes.length > 0) this.#write(broker);
    const at = broker.inbox.findIndex(({ from }) => ids.includes(from));
    const [arrived] = at < 0 ? [] : broker.inbox.splice(at, 1);
    if (arrived !== undefined) {
      isBusy = true;
      this.#lines.push(arrived.line);
      this.#step(broker, arrived.input);
    }
    for (const to of ids) if (this.#push(broker, to)) isBusy = true;
    return isBusy;
  }

  #push(leader: Broker, to: number): boolean {
    const window = leader.partition.pushWindow(to);
    if (window === null) return false;
    const { from, upTo, highWaterMark, leaderEpoch, logStartOffset } = window;
    const headers = leader.disk.batches.filter(
      (header) => header.baseOffset >= from && endOf(header) <= upTo,
    );
    leader.partition.pushed(to, upTo, highWaterMark);
    const input: Frames = {
      kind: 'frames',
      from: leader.id,
      leaderEpoch,
      highWaterMark,
      logStartOffset,
      headers,
    };
    this.#send(to, {
      from: leader.id,
      input,
      line: `${leader.id}->${to} frames epoch=${leaderEpoch} ${from}..${upTo} hw=${highWaterMark}`,
    });
    this.#look();
    return true;
  }

  #send(to: number, message: Omit<Broker['inbox'][number], 'key'>): void {
    this.#sent += 1;
    this.#broker(to).inbox.push({ ...message, key: this.#sent });
  }

  #write(broker: Broker): void {
    const next = broker.writes.shift();
    if (next === undefined) return;
    broker.disk.apply(next.write, next.headers);
    this.#step(broker, { kind: 'written', writeId: next.write.writeId });
  }

  #step(broker: Broker, input: PartitionInput): void {
    const output = broker.partition.step(input);
    const { id } = broker;
    for (const write of output.writes) {
      const headers = this.#headersOf(write, input, id);
      broker.writes.push({ write, headers });
      this.#lines.push(`${id} writes ${describeWrite(write, headers)}`);
    }
    this.#tell(broker, output);
    this.#look();
  }

  #tell({ id }: Broker, output: PartitionOutput): void {
    for (const { requestId, result: answer } of output.replies)
      this.#lines.push(`${id} answers ${requestId}: ${describeResult(answer)}`);
    for (const message of output.messages) {
      const what =
        message.kind === 'diverged'
          ? `epoch=${message.epoch} end=${message.endOffset}`
          : `start=${message.startOffset}`;
      this.#send(message.to, {
        from: id,
        input: { ...message, from: id },
        line: `${id}->${message.to} ${message.kind} ${what}`,
      });
    }
    if (output.position !== null) {
      const { to, position } = output.position;
      const line = `${id}->${to} position epoch=${position.leaderEpoch} last=${position.lastEpoch} end=${position.endOffset}`;
      this.#send(to, { from: id, input: { kind: 'position', position }, line });
    }
    if (output.proposal !== null)
      this.#lines.push(
        `${id} proposes ${output.proposal.proposalId}: ${Object.values(output.proposal.change).join(' ')}`,
      );
    if (output.stopped !== null) this.#lines.push(`${id} stops: ${output.stopped}`);
    if (output.rebuildProducers) this.#lines.push(`${id} rebuilds producers`);
  }

  #headersOf(write: LogWrite, input: PartitionInput, id: number): readonly BatchHeader[] {
    if (write.kind === 'replicate' && input.kind === 'frames')
      return input.headers.slice(write.first, write.last);
    if (write.kind === 'control')
      return [{ ...controlHeader(write.baseOffset, write.leaderEpoch, id), trimTo: write.trimTo }];
    if (write.kind !== 'append') return [];
    const header = this.#requests.get(write.requestId) as BatchHeader;
    return [{ ...header, baseOffset: write.baseOffset, leaderEpoch: write.leaderEpoch }];
  }

  #status({ id, partition, disk }: Broker): void {
    const status = partition.status();
    const log = disk.batches
      .map((header) => `${header.baseOffset}:${header.leaderEpoch}${header.isControl ? '!' : ''}`)
      .join(' ');
    this.#lines.push(
      `${id} ${status.role} epoch=${status.leaderEpoch} end=${status.logEnd} hw=${status.highWaterMark} latest=${partition.latest()} log [${log}]${describeTrim(status)}`,
    );
  }

  #broker(id: number): Broker {
    const broker = this.#brokers.get(id);
    if (broker === undefined) throw new Error(`no broker ${id}`);
    return broker;
  }
}

/** Requests have numbers, and so have their batches. */
function nameOf(crc: number): string {
  return `#${crc}`;
}

function kindOf(text: string): LineKind {
  if (/^\d+ (answers|says)/.test(text)) return 'answer';
  if (/^\d+ proposes/.test(text)) return 'decision';
  return /^\d+ (stops|writes (truncate|reset|retire))/.test(text) ? 'change' : 'step';
}

function describeWrite(write: LogWrite, headers: readonly BatchHeader[]): string {
  if (write.kind === 'truncate')
    return `truncate to=${write.toOffset}${write.keepAside ? ' aside' : ''}`;
  if (write.kind === 'reset')
    return `reset start=${write.start.offset} after epoch=${write.start.epoch}`;
  if (write.kind === 'retire')
    return `retire start=${write.startOffset} after epoch=${write.startEpoch}`;
  if (write.kind === 'control') {
    const kind = write.trimTo === undefined ? 'epoch-start' : `trim to=${write.trimTo}`;
    return `${kind} ${write.baseOffset}..${write.baseOffset + 1}`;
  }
  return `${write.kind} ${headers.map((header) => `${header.baseOffset}..${endOf(header)}`).join(' ')}`;
}

/** Empty for a log that was never trimmed. */
function describeTrim({ logStart, undecidedTo }: PartitionStatus): string {
  return undecidedTo === 0 ? '' : ` start=${logStart} undecided to=${undecidedTo}`;
}

function describeResult(answer: AppendResult): string {
  if (!answer.ok) return `${answer.error.code} ${answer.error.message}`;
  return `${answer.baseOffset}..${answer.lastOffset} epoch=${answer.leaderEpoch}${answer.isDuplicate ? ' duplicate' : ''}`;
}

function controlHeader(baseOffset: number, leaderEpoch: number, id: number): BatchHeader {
  return { ...PLAIN, baseOffset, leaderEpoch, crc: 1_000 * leaderEpoch + id, isControl: true };
}

function result(args: Args): BrokerError | null {
  const error = args.get('error');
  if (error === undefined) return null;
  return new BrokerError(error === 'REFUSED' ? 'REFUSED' : 'UNREACHABLE', error);
}

function number(args: Args, key: string, fallback?: number): number {
  const value = args.get(key) ?? fallback;
  if (value === undefined) throw new Error(`${key} is missing`);
  return Number(value);
}

function list(args: Args, key: string): number[] {
  return (args.get(key) ?? '')
    .split(',')
    .filter((word) => word !== '')
    .map(Number);
}
