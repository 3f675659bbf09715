/** Rate of commits and the longest wait for one on a time axis, with what changed marked. */
import { useEffect, useRef } from 'preact/hooks';
import UPlot from 'uplot';
import type { History, Mark } from '../model/history.ts';

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

type Kind = 'perSecond' | 'waitMs';

export function Plots({ history }: { readonly history: History }) {
  return (
    <section class="plots" aria-label="the last five minutes">
      <Plot title="Records committed per second" kind="perSecond" history={history} />
      <Plot title="Longest wait for a commit, seconds" kind="waitMs" history={history} />
      <p class="hint">
        Marks: E another leader, B a broker came or went, S a sync set, C another controller, L a
        loss report
      </p>
    </section>
  );
}

interface PlotProps {
  readonly title: string;
  readonly kind: Kind;
  readonly history: History;
}

function Plot({ title, kind, history }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | null>(null);
  // Hooks of the plot read what is newest.
  const marks = useRef<readonly Mark[]>([]);
  marks.current = history.marks;
  useEffect(() => {
    const { current } = place;
    if (current === null) return;
    const make = (): void => {
      plot.current?.destroy();
      plot.current = new UPlot(
        optionsOf(current, () => marks.current),
        [[], []],
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
  }, []);
  useEffect(() => {
    const { points } = history;
    const values = points.map((point) =>
      kind === 'waitMs' ? point.waitMs / SECOND_MS : point.perSecond,
    );
    plot.current?.setData([points.map(({ atMs }) => atMs / SECOND_MS), values]);
  }, [history]);
  const now = history.points.at(-1)?.[kind] ?? null;
  const shown = now === null ? 'not known' : (kind === 'waitMs' ? now / SECOND_MS : now).toFixed(0);
  return (
    <figure>
      <figcaption>{title}</figcaption>
      <div ref={place} class="plot" role="img" aria-label={`${title}: ${shown} now`} />
    </figure>
  );
}

function optionsOf(place: HTMLElement, marks: () => readonly Mark[]): UPlot.Options {
  const style = getComputedStyle(place);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line'), width: 1 } };
  const font = '11px system-ui, sans-serif';
  return {
    width: place.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_, __, max) => [0, Math.max(1, max * 1.15)] } },
    axes: [
      { ...axis, font, size: 24, values: (_, times) => times.map(timeText) },
      { ...axis, font, size: 48, values: (_, values) => values.map(shortText) },
    ],
    series: [
      {},
      { stroke: colour('--accent'), fill: colour('--wash'), width: 1.5, points: { show: false } },
    ],
    hooks: {
      draw: [(plot) => drawMarks(plot, marks(), { line: colour('--bad'), text: colour('--text') })],
    },
  };
}

function timeText(seconds: number): string {
  return new Date(seconds * SECOND_MS).toLocaleTimeString('en-GB');
}

function shortText(value: number): string {
  return Intl.NumberFormat('en', { notation: 'compact' }).format(value);
}

/** One dashed line for all that a snapshot showed, with a letter for each kind. */
function drawMarks(
  plot: UPlot,
  marks: readonly Mark[],
  colours: { readonly line: string; readonly text: string },
): void {
  const { ctx, bbox } = plot;
  const kinds = new Map<number, Set<string>>();
  for (const { atMs, kind } of marks) {
    const letters = kinds.get(atMs) ?? new Set();
    kinds.set(atMs, letters.add(LETTERS[kind]));
  }
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.strokeStyle = colours.line;
  ctx.fillStyle = colours.text;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.font = `${10 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textAlign = 'left';
  ctx.textBaseline = 'top';
  for (const [atMs, letters] of kinds) {
    const x = plot.valToPos(atMs / SECOND_MS, 'x', true);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.fillText([...letters].join(''), x + 3 * devicePixelRatio, bbox.top + 2);
  }
  ctx.restore();
}
