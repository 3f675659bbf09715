/** Dates of ISO 8601 as people write them, exactly: what no calendar has is refused. */

const DATE =
  /^(?<date>\d{4}-\d{2}-\d{2})(?:[T ](?<time>\d{2}:\d{2}(?::\d{2}(?:[.]\d{1,3})?)?)(?<zone>Z|[+-]\d{2}:\d{2})?)?$/;
const MINUTE_MS = 60_000;

/**
 * Milliseconds since 1970-01-01 UTC; undefined for what is no date. Without a zone a date is one
 * of UTC, like every date that the command prints; without a time it is that day's first moment.
 */
export function parseMoment(text: string): number | undefined {
  const { date, time = '00:00', zone = 'Z' } = DATE.exec(text)?.groups ?? {};
  if (date === undefined) return undefined;
  const offsetMs = zoneOffsetMs(zone);
  const utcMs = Date.parse(`${date}T${time}Z`);
  // ECMAScript takes 30 February for 2 March, and 24:00 for the next day.
  if (Number.isNaN(utcMs) || offsetMs === undefined) return undefined;
  const shown = new Date(utcMs).toISOString();
  if (!shown.startsWith(date) || shown.slice(11, 16) !== time.slice(0, 5)) return undefined;
  return utcMs - offsetMs;
}

/** Zones reach from -12:00 to +14:00. */
function zoneOffsetMs(zone: string): number | undefined {
  if (zone === 'Z') return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(4));
  if (hours > 14 || minutes > 59) return undefined;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * MINUTE_MS;
}
