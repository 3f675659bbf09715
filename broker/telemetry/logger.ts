/** The process log: one JSON object per line on stdout, times in ISO 8601, level as a word, so that any collector reads it as it is. */
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';

/** Least severe first. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

export type { Logger } from 'pino';

/** @param bindings on every line, such as the broker's id */
export function createLogger(
  level: LogLevel,
  bindings: Readonly<Record<string, string | number>>,
  destination?: DestinationStream,
): Logger {
  const options = {
    level,
    base: { ...bindings },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
