/**
 * A recording of a killed leader as an animated SVG: every change stands at the moment when it was
 * seen. Pure.
 */
import { SIGNS, type ReplicaState } from '../../page/model/tiles.ts';
import type { BrokerState, Snapshot } from '../../page/snapshot.ts';
import { escaped, path, short, STYLE } from './svg.ts';

/** One stretch of the plot. */
export const BUCKET_MS = 100;

/** What differed from the look before. */
export interface Frame {
  /** Milliseconds since the recording began. */
  readonly atMs: number;
  readonly level: Snapshot['level'];
  readonly sentence: string;
  readonly brokers: readonly {
    readonly brokerId: number;
    readonly state: BrokerState;
    readonly tiles: readonly { readonly name: string; readonly state: ReplicaState }[];
  }[];
}

/** What was seen. */
export interface Recording {
  readonly date: string;
  /** Records offered in a second. */
  readonly perSecond: number;
  readonly victim: number;
  readonly lengthMs: number;
  readonly killedAtMs: number;
  readonly startedAtMs: number;
  readonly acknowledged: number;
  readonly failed: number;
  /** Longest time that one partition went without an acknowledgement. */
  readonly longestGapMs: number;
  readonly buckets: readonly { readonly count: number; readonly slowestMs: number }[];
  readonly frames: readonly Frame[];
}

const WIDTH = 840;
const MARGIN = 20;
const INNER = WIDTH - 2 * MARGIN;
const CARDS_TOP = 76;
const CARD = { gap: 14, height: 116, pad: 14 };
const TILE = { width: 73, height: 26, gap: 5, columns: 3 };
const PLOT = { top: 232, height: 96 };
const HEIGHT = 392;
const FLIGHT_MS = 700;
/** The end stands still before it begins again. */
const HOLD_MS = 2_000;
const AXIS_PX = 46;

const TILES: Readonly<
  Record<ReplicaState, { readonly fill: string; readonly text: string; readonly edge: string }>
> = {
  leader: { fill: '--accent', text: '--on', edge: '--accent' },
  'in sync': { fill: '--wash', text: '--text', edge: '--wash' },
  'catching up': { fill: '--warn-back', text: '--warn', edge: '--warn' },
  suspect: { fill: '--warn-back', text: '--warn', edge: '--warn' },
  away: { fill: '--bad-back', text: '--bad', edge: '--bad' },
  stopped: { fill: '--bad-back', text: '--bad', edge: '--bad' },
};
const LEVELS = {
  ok: ['--good', '--good-back'],
  degraded: ['--warn', '--warn-back'],
  failing: ['--bad', '--bad-back'],
} as const;

/** An SVG of its own. */
export function drawRecording(recording: Recording): string {
  const film = new Film(recording);
  const body = [sentences(film), cards(film), flights(film), plot(film), foot(recording)].join('');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${escaped(labelOf(recording))}"><style>${STYLE}${film.style()}</style><rect width="${WIDTH}" height="${HEIGHT}" rx="12" fill="var(--back)"/>${body}</svg>\n`;
}

function labelOf({ victim, longestGapMs, failed, acknowledged }: Recording): string {
  return `Broker ${victim} is killed under load and started again: others lead its partitions, ${acknowledged} records are acknowledged, ${failed} failed, and no partition goes without an acknowledgement for more than ${longestGapMs} ms`;
}

/** Times as shares of the film, and the keyframes that were asked for. */
class Film {
  readonly recording: Recording;
  readonly totalMs: number;
  readonly #rules = new Map<string, string>();

  constructor(recording: Recording) {
    this.recording = recording;
    this.totalMs = recording.lengthMs + HOLD_MS;
  }

  percent(atMs: number): string {
    return `${((Math.min(Math.max(atMs, 0), this.totalMs) / this.totalMs) * 100).toFixed(2)}%`;
  }

  /** Class of what is seen in these stretches alone; empty: always. */
  shown(stretches: readonly (readonly [number, number])[]): string {
    const [first] = stretches;
    if (stretches.length === 1 && first?.[0] === 0 && first[1] >= this.totalMs) return '';
    const steps = stretches.flatMap(([from, to]) => [
      `${this.percent(from)}{visibility:visible}`,
      ...(to < this.totalMs ? [`${this.percent(to)}{visibility:hidden}`] : []),
    ]);
    const begin = first?.[0] === 0 ? '' : '0%{visibility:hidden}';
    return this.animated(`${begin}${steps.join('')}`, 'step-end');
  }

  /** Class of what follows these keyframes. */
  animated(keyframes: string, timing: string): string {
    const rule = `${timing}|${keyframes}`;
    const name = this.#rules.get(rule) ?? `a${this.#rules.size}`;
    this.#rules.set(rule, name);
    return name;
  }

  style(): string {
    const seconds = short(this.totalMs / 1_000);
    const rules = [...this.#rules].map(([rule, name]) => {
      const at = rule.indexOf('|');
      return `@keyframes ${name}{${rule.slice(at + 1)}}.${name}{animation:${name} ${seconds}s ${rule.slice(0, at)} infinite}`;
    });
    // Who wants no motion sees the moment after the death.
    const still = short((this.recording.killedAtMs + HOLD_MS) / 1_000);
    return `\n${rules.join('\n')}\n@media (prefers-reduced-motion:reduce){*{animation-play-state:paused!important;animation-delay:-${still}s!important}}`;
  }
}

/** By value, when it was there. */
function stretchesOf<T>(film: Film, values: (frame: Frame) => T): Map<T, [number, number][]> {
  const { frames } = film.recording;
  const found = new Map<T, [number, number][]>();
  for (const [at, frame] of frames.entries()) {
    const value = values(frame);
    const from = at === 0 ? 0 : frame.atMs;
    const to = frames[at + 1]?.atMs ?? film.totalMs;
    const list = found.get(value) ?? [];
    found.set(value, list);
    const last = list.at(-1);
    if (last?.[1] === from) last[1] = to;
    else list.push([from, to]);
  }
  return found;
}

function sentences(film: Film): string {
  return [...stretchesOf(film, ({ level, sentence }) => `${level} ${sentence}`)]
    .map(([value, stretches]) => {
      const at = value.indexOf(' ');
      const [text, back] = LEVELS[value.slice(0, at) as Snapshot['level']];
      const sentence = value.slice(at + 1);
      const shown = `${sentence.slice(0, 1).toUpperCase()}${sentence.slice(1)}`;
      return `<g class="${film.shown(stretches)}"><rect x="${MARGIN}" y="16" width="${INNER}" height="44" rx="8" fill="var(${back})"/><text x="${MARGIN + 16}" y="44" style="font-size:18px;font-weight:650;fill:var(${text})">${escaped(shown)}</text></g>`;
    })
    .join('');
}

function cardLeft(at: number, count: number): number {
  return MARGIN + at * ((INNER + CARD.gap) / count);
}

function cards(film: Film): string {
  const [first] = film.recording.frames;
  const brokers = first?.brokers ?? [];
  const width = (INNER + CARD.gap) / brokers.length - CARD.gap;
  return brokers
    .map(({ brokerId, tiles }, at) => {
      const x = cardLeft(at, brokers.length);
      const states = stretchesOf(
        film,
        ({ brokers: now }) => now.find((one) => one.brokerId === brokerId)?.state ?? 'silent',
      );
      const heads = [...states].map(([state, stretches]) => {
        const isUp = state === 'up';
        const look = isUp
          ? 'fill="var(--card)" stroke="var(--line)"'
          : 'fill="var(--bad-back)" stroke="var(--bad)" stroke-dasharray="4 3"';
        return `<g class="${film.shown(stretches)}"><rect x="${short(x)}" y="${CARDS_TOP}" width="${short(width)}" height="${CARD.height}" rx="8" ${look}/><text x="${short(x + CARD.pad + 70)}" y="${CARDS_TOP + 26}" style="fill:var(${isUp ? '--good' : '--bad'})">${isUp ? '●' : '○'} ${state}</text></g>`;
      });
      const title = `<text x="${short(x + CARD.pad)}" y="${CARDS_TOP + 26}" style="font-size:13px;font-weight:650">Broker ${brokerId}</text>`;
      const drawn = tiles.map(({ name }, index) => tileStates(film, brokerId, name, index));
      return `${heads.join('')}${title}${drawn.join('')}`;
    })
    .join('');
}

function tilePlace(film: Film, brokerId: number, index: number): readonly [number, number] {
  const brokers = film.recording.frames[0]?.brokers ?? [];
  const at = brokers.findIndex((one) => one.brokerId === brokerId);
  const column = index % TILE.columns;
  const row = Math.floor(index / TILE.columns);
  return [
    cardLeft(at, brokers.length) + CARD.pad + column * (TILE.width + TILE.gap),
    CARDS_TOP + 40 + row * (TILE.height + TILE.gap),
  ];
}

function tileStates(film: Film, brokerId: number, name: string, index: number): string {
  const [x, y] = tilePlace(film, brokerId, index);
  const states = stretchesOf(
    film,
    ({ brokers }) =>
      brokers.find((one) => one.brokerId === brokerId)?.tiles.find((one) => one.name === name)
        ?.state ?? 'away',
  );
  return [...states]
    .map(
      ([state, stretches]) => `<g class="${film.shown(stretches)}">${tile(x, y, name, state)}</g>`,
    )
    .join('');
}

function tile(x: number, y: number, name: string, state: ReplicaState): string {
  const { fill, text, edge } = TILES[state];
  const dash = ['leader', 'in sync'].includes(state) ? '' : ' stroke-dasharray="3 2"';
  return `<rect x="${short(x)}" y="${short(y)}" width="${TILE.width}" height="${TILE.height}" rx="5" fill="var(${fill})" stroke="var(${edge})"${dash}/><text x="${short(x + 8)}" y="${short(y + 17)}" style="font-size:11px;fill:var(${text})">${SIGNS[state]} ${escaped(name)}</text>`;
}

/** A tile on its way from the old leader to the new one. */
function flights(film: Film): string {
  const leaders = new Map<string, number>();
  return film.recording.frames
    .flatMap(({ atMs, brokers }) =>
      brokers.flatMap(({ brokerId, tiles }) =>
        tiles.map(({ name, state }, index) => {
          if (state !== 'leader') return '';
          const before = leaders.get(name) ?? brokerId;
          leaders.set(name, brokerId);
          return before === brokerId ? '' : flight(film, atMs, [before, brokerId], name, index);
        }),
      ),
    )
    .join('');
}

function flight(
  film: Film,
  atMs: number,
  [from, to]: readonly [number, number],
  name: string,
  index: number,
): string {
  const [fromX, fromY] = tilePlace(film, from, index);
  const [x, y] = tilePlace(film, to, index);
  const away = `transform:translate(${short(fromX - x)}px,${short(fromY - y)}px)`;
  const keyframes = [
    `0%{visibility:hidden;${away}}`,
    `${film.percent(atMs)}{visibility:visible;${away};animation-timing-function:cubic-bezier(.3,0,.15,1)}`,
    `${film.percent(atMs + FLIGHT_MS)}{visibility:hidden;transform:none}`,
    '100%{visibility:hidden;transform:none}',
  ];
  return `<g class="${film.animated(keyframes.join(''), 'linear')}">${tile(x, y, name, 'leader')}</g>`;
}

function plot(film: Film): string {
  const { buckets, lengthMs, killedAtMs, startedAtMs, perSecond, victim } = film.recording;
  const [left, right] = [MARGIN + AXIS_PX, WIDTH - MARGIN - 12];
  const xOf = (atMs: number): number => left + (atMs / lengthMs) * (right - left);
  const rates = buckets.map(({ count }) => (count * 1_000) / BUCKET_MS);
  const top = Math.max(perSecond * 2.1, ...rates) * 1.05;
  const bottom = PLOT.top + PLOT.height;
  const yOf = (rate: number): number => bottom - (rate / top) * PLOT.height;
  const points = rates.map((rate, at) => [xOf((at + 0.5) * BUCKET_MS), yOf(rate)] as const);
  const line = path(points);
  const area = `${line}L${short(points.at(-1)?.[0] ?? left)} ${bottom}L${short(points[0]?.[0] ?? left)} ${bottom}Z`;
  const grid = [0, perSecond, 2 * perSecond].map(
    (rate) =>
      `<path d="M${left} ${short(yOf(rate))}H${right}" stroke="var(--line)"/><text class="quiet end" x="${left - 8}" y="${short(yOf(rate) + 4)}" style="font-size:11px">${rate.toLocaleString('en')}</text>`,
  );
  const seconds = Array.from({ length: Math.floor(lengthMs / 2_000) + 1 }, (_, at) => at * 2);
  const axis = seconds.map(
    (second) =>
      `<text class="quiet middle" x="${short(xOf(second * 1_000))}" y="${bottom + 18}" style="font-size:11px">${second} s</text>`,
  );
  const marks = [
    { atMs: killedAtMs, text: `kill -9 broker ${victim}`, colour: '--bad' },
    { atMs: startedAtMs, text: 'started again', colour: '--good' },
  ].map(
    ({ atMs, text, colour }) =>
      `<path d="M${short(xOf(atMs))} ${PLOT.top - 2}V${bottom}" stroke="var(${colour})"/><text x="${short(xOf(atMs) + 5)}" y="${PLOT.top + 6}" style="font-size:11px;fill:var(${colour})">${text}</text>`,
  );
  const end = film.percent(lengthMs);
  // A curtain goes to the right as time does.
  const curtain = film.animated(
    `0%{transform:none}${end}{transform:translateX(${right - left}px)}100%{transform:translateX(${right - left}px)}`,
    'linear',
  );
  return `<text class="quiet" x="${MARGIN}" y="${PLOT.top - 14}">Records acknowledged per second (acks=all), every ${BUCKET_MS} ms</text>${grid.join('')}${axis.join('')}<svg x="0" y="0" width="${right + 1}" height="${HEIGHT}" viewBox="0 0 ${right + 1} ${HEIGHT}"><path d="${area}" fill="var(--wash)"/><path d="${line}" fill="none" stroke="var(--accent)" stroke-width="1.5"/>${marks.join('')}<g class="${curtain}"><rect x="${left + 1}" y="${PLOT.top - 6}" width="${right - left + 2}" height="${PLOT.height + 5}" fill="var(--back)"/><path d="M${left} ${PLOT.top}V${bottom}" stroke="var(--quiet)"/></g></svg>`;
}

function foot({ longestGapMs, failed, acknowledged, date, perSecond }: Recording): string {
  const text = `${acknowledged.toLocaleString('en')} records acknowledged, ${failed} failed; longest time that one partition went without an acknowledgement: ${longestGapMs} ms`;
  const origin = `Three brokers and a client on one machine, ${perSecond.toLocaleString('en')} records/s, recorded on ${date}`;
  return `<text x="${MARGIN}" y="${HEIGHT - 28}" style="font-weight:600">${text}</text><text class="quiet" x="${MARGIN}" y="${HEIGHT - 11}" style="font-size:11px">${origin}</text>`;
}
