/**
 * A script is blocks with an empty line between them. A block is what a person has to say (lines
 * that begin with #), commands, `----`, and what came of them: so it is a transcript, which a test
 * compares, and a story, which the site plays. Pure.
 */
import type { Frame, Line, Panel } from './picture.ts';
import { lineText } from './status.ts';

/** What carries out the commands of one kind of script. */
export interface Script {
  readonly nowMs: number;
  /** Is called whenever there is something new to see. */
  onEvent: () => void;
  run(command: string): void;
  /** What happened since this was asked. */
  takeLines(): Line[];
  seen(): Panel[];
}

export interface Block {
  /** Without the #. */
  readonly remarks: readonly string[];
  readonly commands: readonly string[];
  /** As the text has it, to be written again as it is. */
  readonly head: string;
  /** What the text says that came of it. */
  readonly expected: readonly string[];
}

export function blocksOf(text: string): Block[] {
  return text
    .split('\n\n')
    .filter((block) => block.trim() !== '')
    .map((block) => {
      const [before = '', after] = block.trim().split(/\n?^----$\n?/m);
      const head = before.split('\n');
      return {
        remarks: head.filter((line) => line.startsWith('#')).map((line) => line.slice(1).trim()),
        commands: head.filter((line) => line !== '' && !line.startsWith('#')),
        head: before,
        expected: after === undefined || after === '' ? [] : after.split('\n'),
      };
    });
}

/** Something that is done besides the script, once so many frames were seen. */
export interface Deed {
  readonly frame: number;
  readonly command: string;
}

/** A run that was played to its end. */
export interface Run {
  readonly frames: readonly Frame[];
  /** What came of each block, as a transcript has it. */
  readonly said: readonly (readonly string[])[];
}

/** Frames of a run; what is left is not shown. */
export const FRAMES_MAX = 20_000;

/** What is done after the script where a person has done something: what came of it is seen. */
const AFTERWARDS = 'run 3000';

/** Plays blocks from the start to the end, with what is done besides. */
export function play(blocks: readonly Block[], script: Script, deeds: readonly Deed[] = []): Run {
  const recorder = new Recorder(script, deeds);
  const said = blocks.map(({ commands }, block) => recorder.block(block, commands));
  if (deeds.length > 0) recorder.block(blocks.length - 1, [AFTERWARDS]);
  return { frames: recorder.frames, said };
}

class Recorder {
  readonly frames: Frame[] = [];
  readonly #script: Script;
  readonly #deeds: readonly Deed[];
  #said: Line[] = [];
  #block = 0;
  #last = '';
  #isDoing = false;

  constructor(script: Script, deeds: readonly Deed[]) {
    this.#script = script;
    this.#deeds = deeds;
    script.onEvent = () => this.#look();
  }

  block(block: number, commands: readonly string[]): string[] {
    this.#block = block;
    this.#said = [];
    for (const command of commands) this.#script.run(command);
    this.#look();
    return this.#said.map(lineText);
  }

  /** A frame where there is something new to see. */
  #look(): void {
    if (this.#isDoing) return;
    const lines = this.#script.takeLines();
    this.#said.push(...lines);
    const panels = this.#script.seen();
    const seen = JSON.stringify([panels, this.#block]);
    if (panels.length === 0 || (seen === this.#last && lines.length === 0)) return;
    this.#last = seen;
    if (this.frames.length >= FRAMES_MAX) return;
    this.frames.push({ atMs: this.#script.nowMs, lines, panels, block: this.#block });
    this.#do();
  }

  #do(): void {
    const due = this.#deeds.filter(({ frame }) => frame === this.frames.length);
    if (due.length === 0) return;
    this.#isDoing = true;
    for (const { command } of due) this.#script.run(command);
    this.#isDoing = false;
    this.#look();
  }
}
