/**
 * The launcher's control socket: one JSON line in, one JSON line out. `tidemark local` speaks it;
 * it exists only on this machine, inside the data folder.
 */
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import type { KillSignal, Processes } from './processes.ts';
import { reasonOf } from '../base/reason.ts';

/** Longest command line accepted. */
const LINE_BYTES_MAX = 4_096;
const SIGNALS: readonly string[] = ['SIGKILL', 'SIGSTOP', 'SIGTERM'];

interface Answer {
  readonly ok: boolean;
  readonly message?: string;
  readonly error?: string;
  readonly brokers?: unknown;
}

/** Resolves once the socket listens. */
export function serveControl(socketPath: string, processes: Processes): Promise<Server> {
  const server = createServer((socket) => {
    let received = '';
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: string) => {
      received += chunk;
      const end = received.indexOf('\n');
      if (end < 0 && received.length <= LINE_BYTES_MAX) return;
      const answer =
        end < 0
          ? { ok: false, error: `the command is longer than ${LINE_BYTES_MAX} bytes` }
          : run(received.slice(0, end), processes);
      socket.end(`${JSON.stringify(answer)}\n`);
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, () => {
      resolve(server);
    });
  });
}

function run(line: string, processes: Processes): Answer {
  try {
    const command: unknown = JSON.parse(line);
    if (typeof command !== 'object' || command === null)
      throw new Error('the command is not a JSON object');
    return carryOut(command as Record<string, unknown>, processes);
  } catch (error) {
    return { ok: false, error: reasonOf(error) };
  }
}

function carryOut(command: Record<string, unknown>, processes: Processes): Answer {
  const broker = command['broker'];
  switch (command['command']) {
    case 'status':
      return { ok: true, brokers: processes.status() };
    case 'start':
      processes.start(brokerOf(broker));
      return { ok: true, message: `broker ${String(broker)} started` };
    case 'kill': {
      const signal = command['signal'];
      if (typeof signal !== 'string' || !SIGNALS.includes(signal)) {
        throw new Error(`signal is '${String(signal)}', must be one of ${SIGNALS.join(', ')}`);
      }
      processes.kill(brokerOf(broker), signal as KillSignal);
      return { ok: true, message: `broker ${String(broker)} was sent ${signal}` };
    }
    default:
      throw new Error(`command is '${String(command['command'])}', must be status, start or kill`);
  }
}

function brokerOf(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`broker is '${String(value)}', must be a whole number`);
}
