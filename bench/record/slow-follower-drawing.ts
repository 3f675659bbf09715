/** Both commit modes beside a follower that stops again and again, as one plot. Pure. */
import { median } from '../median.ts';
import { escaped, path, short, STYLE } from './svg.ts';

/** What was measured. */
export interface Comparison {
  readonly date: string;
  readonly machine: string;
  /** Processes that wanted a core, over the last five minutes of it. */
  readonly loadAverage: number;
  /** Of brokers and client; below 0: others gave way to them. */
  readonly nice: number;
  readonly windowMs: number;
  /** Before the follower stops for the first time. */
  readonly healthyMs: number;
  readonly slowMs: number;
  /** It stops for `pauseMs` in each `everyMs`. */
  readonly pauseMs: number;
  readonly everyMs: number;
  readonly perSecond: number;
  /** By mode, of each run: the 99th percentile of each window, in milliseconds. */
  readonly runs: Readonly<Record<'in-sync' | 'quorum', readonly (readonly number[])[]>>;
}

const WIDTH = 840;
const HEIGHT = 318;
const [LEFT, RIGHT] = [66, WIDTH - 110];
const [TOP, BOTTOM] = [70, 236];
/** Of the axis, which is logarithmic: from one millisecond to a second. */
const DECADES = 3;
const COLOURS = { 'in-sync': '--warn', quorum: '--accent' } as const;

/** An SVG of its own. */
export function drawComparison(comparison: Comparison): string {
  const { windowMs, healthyMs, slowMs, pauseMs, everyMs, runs } = comparison;
  const windows = Math.max(...runs['in-sync'].map((run) => run.length));
  const xOf = (atMs: number): number => LEFT + (atMs / (windows * windowMs)) * (RIGHT - LEFT);
  const yOf = (ms: number): number => {
    const share = Math.log10(Math.min(10 ** DECADES, Math.max(1, ms))) / DECADES;
    return BOTTOM - share * (BOTTOM - TOP);
  };
  const pauses = Array.from({ length: slowMs / everyMs }, (_, at) => healthyMs + at * everyMs).map(
    (atMs) =>
      `<rect x="${short(xOf(atMs))}" y="${TOP}" width="${short(xOf(pauseMs) - LEFT)}" height="${BOTTOM - TOP}" fill="var(--bad-back)"/>`,
  );
  const grid = Array.from({ length: DECADES + 1 }, (_, power) => 10 ** power).map(
    (ms) =>
      `<path d="M${LEFT} ${short(yOf(ms))}H${RIGHT}" stroke="var(--line)"/><text class="quiet end" x="${LEFT - 8}" y="${short(yOf(ms) + 4)}">${ms === 1_000 ? '1 s' : `${ms} ms`}</text>`,
  );
  const seconds = Array.from(
    { length: Math.floor((windows * windowMs) / 2_000) + 1 },
    (_, at) => at * 2,
  );
  const axis = seconds.map(
    (second) =>
      `<text class="quiet middle" x="${short(xOf(second * 1_000))}" y="${BOTTOM + 18}">${second} s</text>`,
  );
  const lines = (['in-sync', 'quorum'] as const).map((mode) => {
    const x = (at: number): number => xOf((at + 0.5) * windowMs);
    const of = (pick: (values: readonly number[]) => number) =>
      Array.from({ length: windows }, (_, at) => {
        const values = runs[mode].map((run) => run[at] ?? 0);
        return [x(at), yOf(pick(values))] as const;
      });
    const [low, high] = [of((values) => Math.min(...values)), of((values) => Math.max(...values))];
    const middle = of(median);
    const colour = `var(${COLOURS[mode]})`;
    const y = TOP + (mode === 'quorum' ? 30 : 8);
    return `<path d="${path(high)}${path(low.toReversed()).replace('M', 'L')}Z" fill="${colour}" opacity=".14"/><path d="${path(middle)}" fill="none" stroke="${colour}" stroke-width="2"/><path d="M${RIGHT + 12} ${y}h14" stroke="${colour}" stroke-width="2"/><text x="${RIGHT + 32}" y="${y + 4}" style="fill:${colour};font-weight:600">${mode}</text>`;
  });
  const title = 'Append time, 99th percentile, while a follower stops again and again';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${title}"><style>${STYLE}</style><rect width="${WIDTH}" height="${HEIGHT}" rx="12" fill="var(--back)"/><text x="20" y="32" style="font-size:16px;font-weight:650">${title}</text><text class="quiet" x="20" y="52">Red: one of two followers is stopped (SIGSTOP) for ${pauseMs} ms. Lines: median of the runs; bands: all of them</text>${pauses.join('')}${grid.join('')}${axis.join('')}${lines.join('')}${foot(comparison)}</svg>\n`;
}

function foot(comparison: Comparison): string {
  const { date, machine, loadAverage, nice, perSecond, runs, windowMs } = comparison;
  const priority = nice < 0 ? ', brokers and client at a raised priority' : '';
  const lines = [
    `${runs.quorum.length} runs of each mode in turns, windows of ${windowMs} ms; ${perSecond.toLocaleString('en')} records/s of 1,000 B, acks=all, RF 3, min 2`,
    `All on one machine (${machine}), which others used too: load average ${loadAverage}${priority}; ${date}`,
  ];
  return lines
    .map(
      (line, at) =>
        `<text class="quiet" x="20" y="${HEIGHT - 32 + at * 17}" style="font-size:11px">${escaped(line)}</text>`,
    )
    .join('');
}
