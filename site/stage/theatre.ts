/**
 * Carries out a script over one cluster, or over two beside each other in the same virtual time.
 *
 *   cluster 1 2 3 min=2 mode=in-sync unclean=no     brokers, registered, with a topic whose first
 *                                                   epoch has begun
 *   beside in-sync quorum | beside raft log         two of them, by the name of what differs
 *   append a b ack=all to=1      the producer sends records; `to`: not to the present leader
 *   run 300 / settle             time passes: so many ms, or until nothing is on its way
 *   kill|power|empty|stop 2      the process dies; the power fails; the disk is lost; in order
 *   start 2 / pause 2 / resume 2
 *   cut 3 from=1,controller      no message between them; without `from`: with anybody
 *   heal 3
 *   slow 3 ms=200                longer for every message; 0 ends it
 *   elect given-up=1,2           a person asks for an unclean election
 *   status / facts               the state in words, and what was counted
 */
import type { AckLevel } from '../../broker/replication/types.ts';
import { Cluster } from './cluster.ts';
import { type Command, idsOf, listOf, numberOf, parseCommand } from './command.ts';
import type { Line, Panel, Place, Say } from './picture.ts';
import { RaftBeside } from './raft-beside.ts';
import type { Script } from './script.ts';
import { statusOf } from './status.ts';
import { Timeline } from './timeline.ts';

const SETTLE_MS_MAX = 2_000;

export class Theatre implements Script {
  readonly #timeline = new Timeline();
  readonly #seed: number;
  #panels: (Cluster | RaftBeside)[] = [];
  #lines: Line[] = [];
  #startMs = 0;

  /** @param seed of everything that is chance */
  constructor(seed: number) {
    this.#seed = seed;
  }

  get nowMs(): number {
    return this.#timeline.nowMs - this.#startMs;
  }

  set onEvent(look: () => void) {
    this.#timeline.onEvent = look;
  }

  run(line: string): void {
    this.#carryOut(parseCommand(line));
    this.#timeline.onEvent();
  }

  takeLines(): Line[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  seen(): Panel[] {
    return this.#panels.map((panel) => panel.seen());
  }

  #carryOut(command: Command): void {
    const { name, words } = command;
    if (name === 'cluster' || name === 'beside') this.#open(command);
    else if (name === 'run') this.#timeline.pass(Number(words[0]));
    else if (name === 'settle') this.#settle();
    else if (name === 'status')
      for (const text of this.seen().flatMap(statusOf))
        this.#lines.push({ kind: 'state', atMs: null, text, rule: '' });
    else if (name === 'facts')
      for (const { title, facts } of this.seen())
        this.#lines.push({
          kind: 'state',
          atMs: null,
          text: `${title}: ${facts.join(', ')}`,
          rule: '',
        });
    else for (const panel of this.#panels) this.#act(panel, command);
  }

  #act(panel: Cluster | RaftBeside, command: Command): void {
    const { name, words, args } = command;
    if (name === 'append') {
      const to = args.has('to') ? numberOf(command, 'to') : null;
      for (const word of words) panel.append(word, (args.get('ack') ?? 'all') as AckLevel, to);
      return;
    }
    if (panel instanceof RaftBeside) throw new Error(`a raft group takes no "${name}"`);
    for (const id of idsOf(command)) this.#strike(panel, command, id);
    if (name === 'elect') panel.elect({ unclean: true, givenUp: listOf(command, 'given-up') });
  }

  #strike(panel: Cluster, command: Command, id: number): void {
    const from = (command.args.get('from') ?? '').split(',').filter((word) => word !== '');
    switch (command.name) {
      case 'kill':
        return panel.kill(id);
      case 'power':
        return panel.power(id);
      case 'empty':
        return panel.empty(id);
      case 'stop':
        return panel.stop(id);
      case 'start':
        return panel.start(id);
      case 'pause':
        return panel.pause(id);
      case 'resume':
        return panel.resume(id);
      case 'cut':
        return panel.cut(id, from.map(placeOf));
      case 'heal':
        return panel.heal(id);
      case 'slow':
        return panel.slow(id, numberOf(command, 'ms'));
      default:
        throw new Error(`unknown command ${command.name}`);
    }
  }

  #open(command: Command): void {
    const { name, words, args } = command;
    const titles = name === 'beside' ? words : [''];
    const brokers = name === 'beside' ? [1, 2, 3] : idsOf(command);
    this.#panels = titles.map((title) => {
      const say: Say = ({ text, ...line }) => {
        const told = title === '' ? text : `${title}: ${text}`;
        this.#lines.push({ ...line, atMs: this.nowMs, text: told });
      };
      if (title === 'raft') return new RaftBeside(title, this.#timeline, this.#seed, say);
      const mode = title === 'quorum' || args.get('mode') === 'quorum' ? 'quorum' : 'in-sync';
      const min = numberOf(command, 'min', 2);
      const unclean = args.get('unclean') === 'yes';
      const options = { title, brokers, min, mode, unclean, seed: this.#seed } as const;
      return new Cluster(options, this.#timeline, say);
    });
    // How a cluster begins is no part of a story.
    const look = this.#timeline.onEvent;
    this.#timeline.onEvent = () => undefined;
    for (const panel of this.#panels) panel.ready();
    this.#settle();
    this.#timeline.onEvent = look;
    this.#startMs = this.#timeline.nowMs;
    this.#lines = [];
  }

  #settle(): void {
    const endMs = this.#timeline.nowMs + SETTLE_MS_MAX;
    const isQuiet = (): boolean => this.#panels.every((panel) => panel.isQuiet);
    while (!isQuiet() && this.#timeline.nowMs < endMs) this.#timeline.pass(1);
  }
}

function placeOf(word: string): Place {
  return word === 'controller' || word === 'producer' ? word : Number(word);
}
