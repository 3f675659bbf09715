/**
 * What the part of the address behind # names: a run, and a place in it. `#story=leader-fails`,
 * `#story=raft/figure-8`, with `&chance=7` another seed of its delays, `&do=12:kill+2` what a
 * person did at a frame, `&at=40` a frame; `#seed=replication:7` a run of a simulator. Pure.
 */
import type { Deed } from '../stage/script.ts';

export interface Address {
  /** `leader-fails`, `raft/figure-8`; empty where a seed is named. */
  readonly story: string;
  /** `replication:7`, `metadata:3:quorum`; empty where a story is named. */
  readonly seed: string;
  readonly chance: number;
  readonly deeds: readonly Deed[];
  /** Frame to begin at, from 1 on; 0: the start. */
  readonly at: number;
}

/** The chance by which transcripts are written. */
export const CHANCE_OF_TRANSCRIPTS = 1;
/** What a person may do. */
const DEED =
  /^((kill|start|power|empty|stop|pause|resume|cut|heal) \d|slow \d ms=\d{1,4}|append [a-z]\w{0,7})$/;
/** A person's deeds in one run. */
export const DEEDS_MAX = 50;

/** @param hash with or without its # */
export function addressOf(hash: string, first: string): Address {
  const pairs = new Map(
    hash
      .replace(/^#/, '')
      .split('&')
      .map((pair): [string, string] => {
        // A deed has a = of its own.
        const [key = '', ...value] = pair.split('=').map(decode);
        return [key, value.join('=')];
      }),
  );
  const seed = pairs.get('seed') ?? '';
  return {
    story: seed === '' ? (pairs.get('story') ?? first) : '',
    seed,
    chance: wholeNumber(pairs.get('chance')) ?? CHANCE_OF_TRANSCRIPTS,
    deeds: deedsOf(pairs.get('do') ?? ''),
    at: wholeNumber(pairs.get('at')) ?? 0,
  };
}

export function hashOf({ story, seed, chance, deeds, at }: Address): string {
  const told = deeds.map(({ frame, command }) => `${frame}:${command.replaceAll(' ', '+')}`);
  return [
    seed === '' ? `#story=${story}` : `#seed=${seed}`,
    ...(chance === CHANCE_OF_TRANSCRIPTS ? [] : [`chance=${chance}`]),
    ...(told.length === 0 ? [] : [`do=${told.join(';')}`]),
    ...(at === 0 ? [] : [`at=${at}`]),
  ].join('&');
}

function deedsOf(text: string): Deed[] {
  return text
    .split(';')
    .slice(0, DEEDS_MAX)
    .flatMap((part) => {
      const [frame, command = ''] = part.split(':', 2);
      const number = wholeNumber(frame);
      const deed = command.replaceAll('+', ' ');
      return number === undefined || !DEED.test(deed) ? [] : [{ frame: number, command: deed }];
    });
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}
