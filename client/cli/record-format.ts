/**
 * A record by a template with fields, as `read --format '{partition}:{offset} {key} {value}'` has
 * it. Keys, values and headers are the bytes that they are.
 */
import { InvalidArgumentError } from 'commander';
import type { ConsumedRecord } from '../index.ts';
import { formatTime } from './units.ts';

type Field = (record: ConsumedRecord) => Uint8Array | string;

const NOTHING = new Uint8Array(0);

const FIELDS: Readonly<Record<string, Field>> = {
  topic: ({ topic }) => topic,
  partition: ({ partition }) => `${partition}`,
  offset: ({ offset }) => `${offset}`,
  epoch: ({ leaderEpoch }) => `${leaderEpoch}`,
  timestamp: ({ timestampMs }) => `${timestampMs}`,
  time: ({ timestampMs }) => formatTime(timestampMs),
  key: ({ key }) => key ?? NOTHING,
  value: ({ value }) => value ?? NOTHING,
};

/** Names of all fields; `header:` is followed by a header's name. */
export const FIELD_NAMES = [...Object.keys(FIELDS), 'header:<name>'];

/** Writes one record. */
type RecordFormat = (record: ConsumedRecord) => Uint8Array;

/** By name, or by a template. */
export type ReadFormat = 'raw' | 'text' | 'json' | RecordFormat;

/** `raw`, `text`, `json`, or a template with fields. */
export function parseReadFormat(text: string): ReadFormat {
  if (text === 'raw' || text === 'text' || text === 'json') return text;
  const format = text.includes('{') ? parseRecordFormat(text) : 'it has no {field}';
  if (typeof format !== 'string') return format;
  throw new InvalidArgumentError(
    `Must be raw, text, json, or a template with fields such as '{offset} {value}': ${format}.`,
  );
}

/**
 * Reads a template: `{field}`, `{{` and `}}` for braces, `\t`, `\n` and `\\`. Returns what is wrong
 * with it, in words, where it is none.
 */
function parseRecordFormat(template: string): RecordFormat | string {
  const parts: (Field | string)[] = [];
  for (const [token] of template.matchAll(/\{\{|\}\}|\{[^{}]*\}|\\.|[^{}\\]+|[{}\\]/gsu)) {
    if (token === '{{' || token === '}}') parts.push(token.charAt(0));
    else if (token.length > 1 && token.startsWith('{')) {
      const field = fieldOf(token.slice(1, -1));
      if (field === undefined) return `${token} is no field: ${FIELD_NAMES.join(', ')}`;
      parts.push(field);
    } else if (token === '{' || token === '}') return `a single ${token} must be ${token}${token}`;
    else if (token.startsWith('\\')) {
      const escaped = ESCAPES[token.charAt(1)];
      if (escaped === undefined) return `${token} is no escape: \\t, \\n, \\\\`;
      parts.push(escaped);
    } else parts.push(token);
  }
  if (!parts.some((part) => typeof part === 'function')) return 'it has no {field}';
  return (record) =>
    Buffer.concat(
      parts.map((part) => {
        const found = typeof part === 'string' ? part : part(record);
        return typeof found === 'string' ? Buffer.from(found) : found;
      }),
    );
}

const ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', '\\': '\\' };

function fieldOf(name: string): Field | undefined {
  if (name.startsWith('header:')) {
    const wanted = name.slice('header:'.length);
    return ({ headers }) => headers.find(({ key }) => key === wanted)?.value ?? NOTHING;
  }
  return Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
}
