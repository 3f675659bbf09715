/**
 * Seeds of the simulators: their own worlds, checkers included, run where the site is. They import
 * nothing of Node, so nothing is exported and no file is opened: the seed is enough.
 */
import { decisionsOf } from '../../broker/metadata/explain.ts';
import type { MetadataImage, MetadataRecord } from '../../broker/metadata/types.ts';
import {
  MODEL_FLAWS,
  type ModelBroker as MetadataBroker,
  type ModelFlaw,
} from '../../test/sim/metadata/model-broker.ts';
import { World as MetadataWorld } from '../../test/sim/metadata/world.ts';
import type { ModelBroker } from '../../test/sim/replication/broker.ts';
import { World as ReplicationWorld } from '../../test/sim/replication/world.ts';
import { cellOf } from './batches.ts';
import { lossText } from './control.ts';
import type { BrokerSeen, Cell, Frame, Line, Panel, RowSeen } from './picture.ts';

/** Of a walk, as the gate runs it. */
const METADATA_STEPS = 5_000;
/** The newest frames stay: a violation is the last one. */
const FRAMES_KEPT = 3_000;
/** Of each log the newest batches are shown. */
const CELLS_SHOWN = 14;
const STEP_MS = 20;

const MODES = ['in-sync', 'quorum', 'any'] as const;

export type WorldSpec =
  | {
      readonly world: 'replication';
      readonly seed: number;
      readonly racers: number;
      readonly trims: boolean;
    }
  | {
      readonly world: 'metadata';
      readonly seed: number;
      readonly mode: (typeof MODES)[number];
      readonly flaw: ModelFlaw;
    };

export interface WorldRun {
  readonly frames: readonly Frame[];
  /** What the seed drew, for a person. */
  readonly settings: string;
  /** Null: every checker was content. */
  readonly violation: string | null;
}

/**
 * `replication:7`, `replication:7:trims`, `replication:7:racers3`, `metadata:3`,
 * `metadata:3:quorum`, `metadata:3:in-sync:no-joint` (a rule that the model leaves out, so that a
 * violation can be seen).
 *
 * @returns null where the text names none
 */
export function worldOf(text: string): WorldSpec | null {
  const [world, number = '', ...words] = text.split(':');
  const seed = Number(number);
  if (!/^\d{1,10}$/.test(number) || seed > 0xffff_ffff) return null;
  if (world === 'replication') {
    if (words.some((word) => !/^(trims|racers\d)$/.test(word))) return null;
    const racers = Number(words.find((word) => word.startsWith('racers'))?.at(-1) ?? 0);
    return { world, seed, racers, trims: words.includes('trims') };
  }
  if (world !== 'metadata') return null;
  const isMode = (word: string): boolean => MODES.some((mode) => mode === word);
  const isFlaw = (word: string): boolean => MODEL_FLAWS.some((flaw) => flaw === word);
  if (words.some((word) => !isMode(word) && !isFlaw(word))) return null;
  return {
    world,
    seed,
    mode: MODES.find((mode) => words.includes(mode)) ?? 'in-sync',
    flaw: MODEL_FLAWS.find((flaw) => words.includes(flaw)) ?? 'none',
  };
}

/** Runs a world to its end, or to the first violation. */
export function playWorld(spec: WorldSpec): WorldRun {
  const reel = new Reel();
  const run =
    spec.world === 'replication' ? new ReplicationRun(spec, reel) : new MetadataRun(spec, reel);
  let violation: string | null = null;
  try {
    run.run();
  } catch (error) {
    violation = error instanceof Error ? error.message : String(error);
    reel.end({ kind: 'fault', atMs: null, text: violation, rule: '' });
  }
  return { frames: reel.frames, settings: run.settings, violation };
}

/** Frames of a run that is not played again from the start. */
class Reel {
  frames: Frame[] = [];
  #lines: Line[] = [];
  #last = '';

  say(line: Line): void {
    this.#lines.push(line);
  }

  look(atMs: number, panels: readonly Panel[]): void {
    const seen = JSON.stringify(panels);
    if (seen === this.#last && this.#lines.length === 0) return;
    this.#last = seen;
    this.frames.push({ atMs, lines: this.#lines, panels, block: 0 });
    this.#lines = [];
    if (this.frames.length > 2 * FRAMES_KEPT) this.frames = this.frames.slice(-FRAMES_KEPT);
  }

  end(line: Line): void {
    const last = this.frames.at(-1);
    if (last !== undefined) this.frames.push({ ...last, lines: [...this.#lines, line] });
  }
}

class ReplicationRun {
  readonly #world: ReplicationWorld;

  constructor({ seed, racers, trims }: Extract<WorldSpec, { world: 'replication' }>, reel: Reel) {
    const look = (world: ReplicationWorld, line: string | null): void => {
      if (line !== null) {
        const [time = '', ...words] = line.split(' ');
        const text = words.join(' ');
        reel.say({ kind: kindOf(text), atMs: Number(time), text, rule: '' });
      }
      reel.look(world.scheduler.nowMs, [replicationPanel(world)]);
    };
    this.#world = new ReplicationWorld(seed, undefined, { racers, trims, look });
  }

  get settings(): string {
    return this.#world.settings
      .replaceAll(/["{}]/g, '')
      .replaceAll(':', ' ')
      .replaceAll(',', ', ')
      .replace('brokers ', 'brokers; ');
  }

  run(): void {
    this.#world.run();
  }
}

function kindOf(line: string): Line['kind'] {
  return /^(crash|cut off)/.test(line) ? 'fault' : 'decision';
}

function replicationPanel(world: ReplicationWorld): Panel {
  const { leader, leaderEpoch, syncSet, quorum, suspects, replicas } = world.row;
  const row: RowSeen = {
    leader,
    leaderEpoch,
    syncSet,
    quorum,
    suspects,
    min: world.row.minInSyncReplicas,
    losses: [],
  };
  const brokers = world.brokers.map((broker): BrokerSeen => {
    const isFenced = replicas.find(({ brokerId }) => brokerId === broker.id)?.fenced === true;
    const standing = standingOf(row, broker.id);
    return { ...replicaSeen(broker), standing, isFenced, isCut: world.isCutOff(broker.id) };
  });
  return { title: '', row, sent: null, brokers, flights: [], facts: [] };
}

function replicaSeen({
  id,
  isUp,
  partition,
  disk,
  incarnation,
}: ModelBroker): Omit<BrokerSeen, 'standing' | 'isFenced' | 'isCut'> {
  const status = partition?.status();
  const cells = disk.held.slice(-CELLS_SHOWN).map((header): Cell => {
    const text = header.isControl ? '' : `${header.producerId}.${header.baseSequence}`;
    return cellOf(header, true, () => text);
  });
  const { start, synced, checkpoint } = disk;
  return {
    id,
    state: isUp ? 'up' : 'down',
    role: status?.role ?? (isUp ? 'registers' : 'down'),
    epoch: status?.leaderEpoch ?? 0,
    slowMs: 0,
    note: `incarnation ${incarnation}`,
    logs: [{ title: '', start, cells, mark: status?.highWaterMark ?? checkpoint, synced }],
  };
}

function standingOf({ syncSet, suspects }: RowSeen, id: number): BrokerSeen['standing'] {
  if (suspects.includes(id)) return 'suspect';
  return syncSet.includes(id) ? 'in sync' : 'out of sync';
}

class MetadataRun {
  readonly settings: string;
  readonly #world: MetadataWorld;
  #before: MetadataImage | null = null;
  #steps = 0;

  constructor({ seed, mode, flaw }: Extract<WorldSpec, { world: 'metadata' }>, reel: Reel) {
    const look = (world: MetadataWorld, records: readonly MetadataRecord[]): void => {
      const { image } = world;
      if (this.#before !== null && records.length > 0)
        sayDecisions(reel, this.#before, image, records);
      this.#before = image;
      this.#steps += records.length === 0 ? 1 : 0;
      reel.look(this.#steps * STEP_MS, metadataPanels(world));
    };
    this.#world = new MetadataWorld({ seed, steps: METADATA_STEPS, flaw, mode, look });
    const without = flaw === 'none' ? '' : `, and a model that leaves out a rule: ${flaw}`;
    this.settings = `${this.#world.brokers.length} brokers, mode ${mode}${without}`;
  }

  run(): void {
    this.#world.run();
  }
}

function sayDecisions(
  reel: Reel,
  before: MetadataImage,
  after: MetadataImage,
  records: readonly MetadataRecord[],
): void {
  for (const { partition, reasons } of decisionsOf(before, after, records))
    for (const { text, rule } of reasons)
      reel.say({ kind: 'decision', atMs: null, text: `t/${partition}: ${text}`, rule });
}

function metadataPanels(world: MetadataWorld): Panel[] {
  const { image, brokers } = world;
  const topic = image.topics.get('t');
  return (topic?.partitions ?? []).map((state): Panel => {
    const { partition, leader, leaderEpoch, syncSet, quorum, suspects, replicas } = state;
    const min = topic?.config.minInSyncReplicas ?? 0;
    const losses = image.losses
      .filter((loss) => loss.partition === partition)
      .map((loss) => lossText({ loss }));
    const row = { leader, leaderEpoch, syncSet, quorum, suspects, min, losses };
    const seen = brokers
      .filter(({ brokerId }) => replicas.includes(brokerId))
      .map((broker) => modelSeen(broker, partition, row, image));
    return { title: `t/${partition}`, row, sent: null, brokers: seen, flights: [], facts: [] };
  });
}

function modelSeen(
  broker: MetadataBroker,
  partition: number,
  row: RowSeen,
  image: MetadataImage,
): BrokerSeen {
  const { brokerId: id, process } = broker;
  const log = broker.log(partition);
  const from = Math.max(0, log.length - CELLS_SHOWN);
  const cells = log.slice(from).map(({ epoch, id: entry }, at): Cell => {
    const isControl = log[from + at - 1]?.epoch !== epoch;
    const text = isControl ? 'epoch starts' : `${entry}`;
    return { at: from + at, end: from + at + 1, epoch, isControl, text, isWritten: true };
  });
  const leading = broker.leadingOf(partition);
  return {
    id,
    state: process === null ? 'down' : 'up',
    role: process === null ? 'down' : leading !== null ? 'leader' : 'replica',
    epoch: leading?.epoch ?? 0,
    standing: standingOf(row, id),
    isFenced: image.brokers.get(id)?.fenced !== false,
    isCut: false,
    slowMs: 0,
    note: '',
    logs: [
      {
        title: '',
        start: 0,
        cells,
        mark: broker.disk.highWaterMarks[partition] ?? 0,
        synced: null,
      },
    ],
  };
}
