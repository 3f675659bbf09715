/**
 * What was said of cursors, against what their rules promise: nobody who asks after an answer is
 * told of less. A seek raises the generation, and within one the offset only rises, so (generation,
 * offset) is an order that no answer goes back in; and no two seeks are told the same generation,
 * which two coordinators at a time would do.
 */
import type { CursorEvent } from './history.ts';

interface Told {
  readonly generation: number;
  readonly offset: number;
}

const NONE: Told = { generation: 0, offset: 0 };

export function checkCursors(events: readonly CursorEvent[]): string[] {
  const byKey = new Map<string, CursorEvent[]>();
  for (const event of events) byKey.set(event.key, [...(byKey.get(event.key) ?? []), event]);
  return [...byKey].flatMap(([key, own]) => [...checkOrder(key, own), ...checkSeeks(key, own)]);
}

function checkOrder(key: string, events: readonly CursorEvent[]): string[] {
  const answered = events.toSorted((one, other) => one.answeredMs - other.answeredMs);
  const asked = events.toSorted((one, other) => one.askedMs - other.askedMs);
  const faults: string[] = [];
  let most = NONE;
  let mostAtMs = 0;
  let next = 0;
  for (const event of asked) {
    for (; next < answered.length; next += 1) {
      const before = answered[next]!;
      if (before.answeredMs >= event.askedMs) break;
      if (isLess(most, before.cursor ?? NONE)) {
        most = before.cursor ?? NONE;
        mostAtMs = before.answeredMs;
      }
    }
    if (isLess(event.cursor ?? NONE, most))
      faults.push(
        `cursor ${key}: ${event.kind} asked at ${event.askedMs} was told ${shown(event.cursor)}, ${shown(most)} was told at ${mostAtMs}`,
      );
  }
  return faults;
}

function checkSeeks(key: string, events: readonly CursorEvent[]): string[] {
  const seen = new Map<number, CursorEvent>();
  return events.flatMap((event) => {
    if (event.kind !== 'seek' || event.cursor === null) return [];
    const { generation } = event.cursor;
    if (!seen.has(generation)) {
      seen.set(generation, event);
      return [];
    }
    return [`cursor ${key}: two seeks were told generation ${generation}`];
  });
}

function isLess(one: Told, other: Told): boolean {
  return one.generation !== other.generation
    ? one.generation < other.generation
    : one.offset < other.offset;
}

function shown(told: Told | null): string {
  return told === null ? 'none' : `${told.generation}/${told.offset}`;
}
