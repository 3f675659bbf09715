/**
 * A message with one part of it made impossible, as a broken process or a wrong build might send
 * it.
 */
import type { Random } from '../../../base/random.ts';
import type { Entry, RaftMessage } from '../../../broker/raft/types.ts';

/** Beyond anything that a replica counts, and still a number that protobuf carries. */
const ABSURD_MIN = 2 ** 52 + 1;
const ABSURD_SPAN = 2 ** 32;

/**
 * The message with one of its numbers, or one of its entries, replaced; null where it has nothing
 * to spoil.
 */
export function absurd(message: RaftMessage, random: Random): RaftMessage | null {
  const names = Object.entries(message).flatMap(([name, value]) =>
    typeof value === 'number' ? [name] : [],
  );
  if (message.kind === 'append' && message.entries.length > 0 && random.chance(0.5)) {
    const at = random.below(message.entries.length);
    const entries = message.entries.map((entry, index) =>
      index === at ? spoilt(entry, random) : entry,
    );
    return { ...message, entries };
  }
  if (names.length === 0) return null;
  return { ...message, [random.pick(names)]: ABSURD_MIN + random.below(ABSURD_SPAN) };
}

function spoilt(entry: Entry, random: Random): Entry {
  switch (random.below(4)) {
    case 0:
      return { ...entry, index: entry.index + 1 };
    case 1:
      return { ...entry, term: ABSURD_MIN };
    case 2:
      return { ...entry, kind: 'voters', data: '[{"brokerId":"1"}]' };
    default:
      return { ...entry, term: 0 };
  }
}
