/**
 * Where everything of a panel stands, in pixels of a picture that is as wide as its place. Logs
 * grow upwards, so that the mark rises as water does. Equal offsets stand at equal heights. Pure.
 */
import type { Cell, Flight, Panel, Place } from '../stage/picture.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Box extends Point {
  readonly width: number;
  readonly height: number;
}

export interface TankBox extends Box {
  /** Offset at the bottom. */
  readonly base: number;
}

export interface ColumnBox extends Box {
  readonly id: number;
  readonly tanks: readonly TankBox[];
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  /** Rows of a tank that is full. */
  readonly rows: number;
  /** Null: there is none. */
  readonly producer: Box | null;
  readonly controller: Box | null;
  readonly columns: readonly ColumnBox[];
}

export const ROW_PX = 24;
const ROWS_MIN = 7;
const ROWS_MAX = 13;
const BAND_PX = 62;
const GAP_BELOW_BAND_PX = 38;
export const HEAD_PX = 58;
/** Above a log, for its title and the surface. */
const AIR_PX = 22;
const PAD_PX = 6;
/** Half of the widest line. */
const EDGE_PX = 1;

/** Rows that a run needs, the same for all of it, so that nothing jumps. */
export function rowsOf(panels: Iterable<Panel>): number {
  let most = ROWS_MIN;
  for (const { brokers } of panels)
    for (const { logs } of brokers)
      for (const { cells, mark } of logs) {
        const first = cells[0]?.at ?? mark;
        most = Math.max(most, Math.max(cells.at(-1)?.end ?? 0, mark) - first);
      }
  return Math.min(ROWS_MAX, most);
}

export function layoutOf(panel: Panel, width: number, rows: number): Layout {
  const { brokers, row, sent } = panel;
  const count = Math.max(1, brokers.length);
  const gap = width / count < 150 ? 6 : 18;
  const columnWidth = (width - 2 * EDGE_PX - gap * (count - 1)) / count;
  const hasBand = row !== null || sent !== null;
  const top = hasBand ? BAND_PX + GAP_BELOW_BAND_PX : 4;
  const tankHeight = rows * ROW_PX + AIR_PX;
  const height = top + HEAD_PX + tankHeight + 2 * PAD_PX;
  const bases = basesOf(panel, rows);
  const half = (width - 2 * EDGE_PX - gap) / 2;
  return {
    width,
    height,
    rows,
    producer: sent === null ? null : { x: EDGE_PX, y: EDGE_PX, width: half, height: BAND_PX },
    controller:
      row === null ? null : { x: width - half - EDGE_PX, y: EDGE_PX, width: half, height: BAND_PX },
    columns: brokers.map(({ id, logs }, at) => {
      const x = EDGE_PX + at * (columnWidth + gap);
      const tankWidth = (columnWidth - PAD_PX * (logs.length + 1)) / Math.max(1, logs.length);
      return {
        id,
        x,
        y: top,
        width: columnWidth,
        height: height - top - EDGE_PX,
        tanks: logs.map((_, log) => ({
          x: x + PAD_PX + log * (tankWidth + PAD_PX),
          y: top + HEAD_PX,
          width: tankWidth,
          height: tankHeight,
          base: bases[log] ?? 0,
        })),
      };
    }),
  };
}

/** The offset at the bottom of all logs of one kind: what does not fit goes below. */
function basesOf({ brokers }: Panel, rows: number): number[] {
  const logs = Math.max(0, ...brokers.map((broker) => broker.logs.length));
  return Array.from({ length: logs }, (_, at) => {
    const alike = brokers.flatMap((broker) => broker.logs[at] ?? []);
    const firsts = alike.flatMap(({ cells }) => cells[0]?.at ?? []);
    const end = Math.max(0, ...alike.map(endOfLog));
    return Math.max(firsts.length === 0 ? 0 : Math.min(...firsts), end - rows);
  });
}

function endOfLog(log: { cells: readonly Cell[]; mark: number } | undefined): number {
  return Math.max(log?.cells.at(-1)?.end ?? 0, log?.mark ?? 0);
}

/** The lower edge of what stands at an offset. */
export function levelOf(tank: TankBox, offset: number): number {
  return tank.y + tank.height - (offset - tank.base) * ROW_PX;
}

/** Null: it is below the picture. */
export function cellBox(tank: TankBox, cell: Cell): Box | null {
  const from = Math.max(cell.at, tank.base);
  if (cell.end <= tank.base) return null;
  const y = levelOf(tank, cell.end);
  return { x: tank.x, y, width: tank.width, height: (cell.end - from) * ROW_PX };
}

function centreOf(box: Box): Point {
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

/** Where a message begins and ends, and the point that bends its way. */
export interface Way {
  readonly from: Point;
  readonly bend: Point;
  readonly to: Point;
}

export function wayOf(layout: Layout, panel: Panel, flight: Flight): Way {
  const from = anchorOf(layout, panel, flight, flight.from);
  const to = anchorOf(layout, panel, flight, flight.to);
  const isLevel = typeof flight.from === 'number' && typeof flight.to === 'number';
  const lift = isLevel ? Math.min(44, 14 + Math.abs(to.x - from.x) * 0.06) : 0;
  return { from, bend: { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 - lift }, to };
}

export function pointOn({ from, bend, to }: Way, share: number): Point {
  const rest = 1 - share;
  const mix = (a: number, b: number, c: number): number =>
    rest * rest * a + 2 * rest * share * b + share * share * c;
  return { x: mix(from.x, bend.x, to.x), y: mix(from.y, bend.y, to.y) };
}

function anchorOf(layout: Layout, panel: Panel, flight: Flight, place: Place): Point {
  const { producer, controller } = layout;
  if (place === 'producer') return producer === null ? { x: 0, y: 0 } : belowOf(producer);
  if (place === 'controller') return controller === null ? { x: 0, y: 0 } : belowOf(controller);
  const column = layout.columns.find(({ id }) => id === place);
  const tank = column?.tanks[0];
  if (column === undefined || tank === undefined) return { x: 0, y: 0 };
  const log = panel.brokers.find(({ id }) => id === place)?.logs[0];
  const { kind, cell } = flight;
  if (kind === 'frames' && cell !== null)
    return centreOf(cellBox(tank, cell) ?? { ...tank, height: 0, y: tank.y + tank.height });
  if (kind === 'mark') return { x: column.x + column.width / 2, y: levelOf(tank, log?.mark ?? 0) };
  if (kind === 'position')
    return { x: column.x + column.width / 2, y: levelOf(tank, endOfLog(log)) - 6 };
  return { x: column.x + column.width / 2, y: column.y + 4 };
}

function belowOf(box: Box): Point {
  return { x: box.x + box.width / 2, y: box.y + box.height };
}
