/**
 * The process log: one JSON object per line on stdout, times in ISO 8601, level as a word, so that
 * any collector reads it as it is.
 */
import type { LogLevel } from '../base/broker-options.ts';
import { type DestinationStream, type Logger, pino, stdSerializers, stdTimeFunctions } from 'pino';
import { sourceLines } from './source-lines.ts';

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
    serializers: { err: told },
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** An error as a line shows it; what is none stays as it is. */
function told(error: Error): object {
  const shown = stdSerializers.err(error);
  if (typeof shown.stack === 'string') shown.stack = sourceLines(shown.stack);
  return shown;
}
