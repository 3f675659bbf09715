import { describe, expect, it } from 'vitest';
import {
  cellBox,
  type Layout,
  layoutOf,
  levelOf,
  pointOn,
  rowsOf,
  type TankBox,
  wayOf,
} from '../../../../site/model/layout.ts';
import type { Flight, Panel } from '../../../../site/stage/picture.ts';
import { Theatre } from '../../../../site/stage/theatre.ts';

function panelAfter(...commands: string[]): Panel {
  const stage = new Theatre(1);
  for (const command of ['cluster 1 2 3 min=2', ...commands]) stage.run(command);
  return stage.seen()[0] as Panel;
}

function tank(layout: Layout, column: number): TankBox {
  return layout.columns[column]?.tanks[0] as TankBox;
}

const PANEL = panelAfter('append a b c', 'settle');

describe('layoutOf', () => {
  it.for([240, 336, 560, 900])('stays within %i pixels', (width) => {
    const layout = layoutOf(PANEL, width, rowsOf([PANEL]));
    for (const { x, width: own, tanks } of layout.columns) {
      expect(x).toBeGreaterThan(0);
      expect(x + own).toBeLessThan(width);
      for (const each of tanks) expect(each.x + each.width).toBeLessThanOrEqual(x + own);
    }
    expect(layout.columns.at(-1)?.y).toBeLessThan(layout.height);
  });

  it('has equal offsets at equal heights, and later ones above', () => {
    const layout = layoutOf(PANEL, 600, rowsOf([PANEL]));
    expect(levelOf(tank(layout, 0), 2)).toBe(levelOf(tank(layout, 2), 2));
    expect(levelOf(tank(layout, 0), 3)).toBeLessThan(levelOf(tank(layout, 0), 2));
  });

  it('leaves what is too old below the picture', () => {
    const names = Array.from({ length: 20 }, (_, at) => `r${at}`).join(' ');
    const panel = panelAfter(`append ${names}`, 'settle');
    const layout = layoutOf(panel, 600, rowsOf([panel]));
    const cells = panel.brokers[0]?.logs[0]?.cells ?? [];
    const boxes = cells.map((cell) => cellBox(tank(layout, 0), cell));
    expect(boxes.filter((box) => box !== null)).toHaveLength(layout.rows);
    expect(boxes.at(-1)?.y).toBeGreaterThanOrEqual(tank(layout, 0).y);
  });
});

describe('wayOf', () => {
  const layout = layoutOf(PANEL, 600, rowsOf([PANEL]));
  const cell = PANEL.brokers[0]?.logs[0]?.cells[2] ?? null;
  const flight: Flight = { key: 1, kind: 'frames', from: 1, to: 3, text: '', cell };

  it('takes a batch from its place in one log to its place in another', () => {
    const way = wayOf(layout, PANEL, flight);
    const [from, to] = [0, 2].map((at) => cell !== null && cellBox(tank(layout, at), cell));
    expect(way.from.y).toBe(way.to.y);
    for (const [point, box] of [[pointOn(way, 0), from] as const, [pointOn(way, 1), to] as const]) {
      if (!box) throw new Error('the cell is below the picture');
      expect(point.x).toBe(box.x + box.width / 2);
      expect(point.y).toBe(box.y + box.height / 2);
    }
  });

  it('bends upwards between brokers', () => {
    const way = wayOf(layout, PANEL, flight);
    expect(pointOn(way, 0.5).y).toBeLessThan(way.from.y);
  });
});
