/**
 * What the client takes from outside: time, chance and connections. Programs get the machine's; a
 * simulator hands in its own.
 */
import type { ChannelCredentials, ChannelOptions } from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';
import { systemClock } from '../process/system-clock.ts';
import type { Channel } from '../wire/grpc/channel.ts';
import { dial } from '../wire/grpc/dial.ts';
import { openTelemetry } from './telemetry.ts';
import { type TokenSource, Tokens } from './token.ts';
import type { Tracing } from './tracing.ts';

/** A connection that its user closes. */
export type ClientChannel = Channel & { close(): void };

export interface ClientPorts {
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** Default: nobody. */
  readonly tracing?: Tracing | undefined;
  /** What is shown with every call. Default: nothing. */
  readonly tokens?: Tokens | undefined;
  /** Makes the connection to `host:port`; it is opened when first used. */
  readonly dial: (address: string) => ClientChannel;
}

/**
 * Beside what all channels have (`wire/grpc/transport.ts`): less memory for each of many clients.
 */
const CHANNEL_OPTIONS: ChannelOptions = { 'grpc-node.flow_control_window': 8 * 1024 * 1024 };

/** The machine's. @param credentials default: no TLS @param token only with TLS */
export function systemPorts(credentials?: ChannelCredentials, token?: TokenSource): ClientPorts {
  const tokens = token === undefined ? undefined : new Tokens(token, systemClock);
  const shown = tokens === undefined ? credentials : credentials?.compose(tokens.credentials());
  const security = shown === undefined ? {} : { credentials: shown };
  return {
    clock: systemClock,
    tokens,
    random: Math.random,
    tracing: openTelemetry(() => systemClock.monotonicMs()),
    dial: (address) => dial(address, { clock: systemClock, options: CHANNEL_OPTIONS, ...security }),
  };
}
