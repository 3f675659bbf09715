/** Rate of commits, time of appends and the longest wait on a time axis, with what changed marked. */
import { useEffect, useRef } from 'preact/hooks';
import UPlot from 'uplot';
import type { History, Mark, Point } from '../model/history.ts';
import { latencyText, rateText } from '../model/words.ts';

const HEIGHT_PX = 120;
const SECOND_MS = 1_000;
/** Letters at the top of a plot, so that marks differ not by colour alone. */
const LETTERS: Readonly<Record<Mark['kind'], string>> = {
  election: 'E',
  fence: 'B',
  'sync set': 'S',
  controller: 'C',
  loss: 'L',
};
/** Those that are drawn in the colour of what is bad. */
const ALARMING: readonly string[] = ['B', 'L'];
/** A mark whose letters would stand on those before gives way. */
const LETTER_GAP_PX = 4;

interface Figure {
  readonly title: string;
  readonly value: (point: Point) => number | null;
  /** Of the newest value. */
  readonly text: (value: number | null) => string;
  /** The axis reaches so far at least. */
  readonly top: number;
}

const FIGURES: readonly Figure[] = [
  {
    title: 'Records committed per second',
    value: ({ perSecond }) => perSecond,
    text: rateText,
    top: 1,
  },
  {
    title: 'Append time, 99th percentile, milliseconds',
    value: ({ p99Ms }) => p99Ms,
    text: latencyText,
    top: 10,
  },
  {
    title: 'Longest wait for a commit, seconds',
    value: ({ waitMs }) => waitMs / SECOND_MS,
    text: (value) => (value === null ? '–' : `${value.toFixed(0)} s`),
    top: 1,
  },
];

export function Plots({ history }: { readonly history: History }) {
  return (
    <section class="plots" aria-label="the last five minutes">
      {FIGURES.map((figure) => (
        <Plot key={figure.title} figure={figure} history={history} />
      ))}
      <p class="hint">
        Marks: <b>B</b> a broker came or went, <b>E</b> another leader, <b>S</b> a sync set,{' '}
        <b>C</b> another controller, <b>L</b> a loss report
      </p>
    </section>
  );
}

interface PlotProps {
  readonly figure: Figure;
  readonly history: History;
}

function Plot({ figure, history }: PlotProps) {
  const { title, value, text } = figure;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | null>(null);
  // Hooks of the plot read what is newest.
  const newest = useRef(history);
  newest.current = history;
  useEffect(() => {
    const { current } = place;
    if (current === null) return;
    const make = (): void => {
      plot.current?.destroy();
      plot.current = new UPlot(
        optionsOf(current, figure, () => newest.current.marks),
        dataOf(newest.current, figure),
        current,
      );
    };
    make();
    const resized = new ResizeObserver(() => {
      plot.current?.setSize({ width: current.clientWidth, height: HEIGHT_PX });
    });
    resized.observe(current);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', make);
    return () => {
      resized.disconnect();
      dark.removeEventListener('change', make);
      plot.current?.destroy();
    };
  }, [figure]);
  useEffect(() => {
    plot.current?.setData(dataOf(history, figure));
  }, [history, figure]);
  const last = history.points.at(-1);
  const now = text(last === undefined ? null : value(last));
  return (
    <figure>
      <figcaption>
        {title} <b>{now}</b>
      </figcaption>
      <div ref={place} class="plot" role="img" aria-label={`${title}: ${now} now`} />
    </figure>
  );
}

function dataOf({ points }: History, { value }: Figure): UPlot.AlignedData {
  return [points.map(({ atMs }) => atMs / SECOND_MS), points.map(value)];
}

function optionsOf(
  place: HTMLElement,
  { top }: Figure,
  marks: () => readonly Mark[],
): UPlot.Options {
  const style = getComputedStyle(place);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const axis = { stroke: colour('--quiet'), ticks: { show: false } };
  const grid = { stroke: colour('--line'), width: 1 };
  const font = '11px system-ui, sans-serif';
  const colours = {
    bad: colour('--bad'),
    line: colour('--quiet'),
  };
  return {
    width: place.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { show: false },
    padding: [14, 14, 0, 0],
    scales: { y: { range: (_, __, max) => [0, Math.max(top, max * 1.1)] } },
    axes: [
      {
        ...{ ...axis, font, size: 22, space: 76, grid: { show: false } },
        values: (_, times) => times.map(timeText),
      },
      { ...axis, grid, font, size: 44, space: 28, values: (_, values) => values.map(shortText) },
    ],
    series: [
      {},
      {
        stroke: colour('--accent'),
        fill: colour('--wash'),
        width: 1.5,
        points: { show: false },
        spanGaps: false,
      },
    ],
    hooks: { draw: [(plot) => drawMarks(plot, marks(), colours)] },
  };
}

function timeText(seconds: number): string {
  return new Date(seconds * SECOND_MS).toLocaleTimeString('en-GB');
}

function shortText(value: number): string {
  return Intl.NumberFormat('en', { notation: 'compact' }).format(value);
}

/** One line for all that a snapshot showed, with a letter for each kind above it. */
function drawMarks(
  plot: UPlot,
  marks: readonly Mark[],
  colours: Readonly<Record<'bad' | 'line', string>>,
): void {
  const { ctx, bbox } = plot;
  const kinds = new Map<number, Set<string>>();
  for (const { atMs, kind } of marks) {
    const letters = kinds.get(atMs) ?? new Set();
    kinds.set(atMs, letters.add(LETTERS[kind]));
  }
  const unit = devicePixelRatio;
  ctx.save();
  ctx.lineWidth = unit;
  ctx.font = `600 ${10 * unit}px system-ui, sans-serif`;
  ctx.textAlign = 'center';
  ctx.textBaseline = 'bottom';
  let freeFrom = 0;
  for (const [atMs, letters] of kinds) {
    const x = Math.round(plot.valToPos(atMs / SECOND_MS, 'x', true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    const isAlarming = [...letters].some((letter) => ALARMING.includes(letter));
    ctx.strokeStyle = isAlarming ? colours.bad : colours.line;
    ctx.fillStyle = isAlarming ? colours.bad : colours.line;
    ctx.setLineDash(isAlarming ? [] : [2 * unit, 3 * unit]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const text = [...letters].join('');
    const half = ctx.measureText(text).width / 2;
    if (x - half < freeFrom) continue;
    freeFrom = x + half + LETTER_GAP_PX * unit;
    ctx.fillText(text, x, bbox.top - unit);
  }
  ctx.restore();
}
