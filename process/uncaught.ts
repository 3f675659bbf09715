/** In every built program: what ends it without being caught is told in lines of the sources. */
import { sourceLines } from './source-lines.ts';

process.on('uncaughtExceptionMonitor', (error) => {
  if (error instanceof Error && typeof error.stack === 'string')
    error.stack = sourceLines(error.stack);
});
