/**
 * How this project speaks HTTP/2: limits and channel options, for brokers and the TypeScript client
 * alike.
 *
 * Node's servers keep the 64 KiB window and 16 KiB frame of the HTTP/2 standard and grpc-js offers
 * no option for either, which caps client-to-server streams near 180 MB/s. Node announces each new
 * stream on a diagnostics channel (a public interface), so the limits of its connection are raised
 * there, once per connection and a round trip before the first large message.
 */
import { MESSAGE_BYTES_MAX } from '../../base/limits.ts';
import { subscribe } from 'node:diagnostics_channel';
import type { Http2Session, Http2Stream } from 'node:http2';

import type { ChannelOptions } from '@grpc/grpc-js';

/** Bytes that a peer may send before it hears back: 10 ms at 1.6 GB/s. */
const WINDOW_BYTES = 16 * 1024 * 1024;
/**
 * Largest HTTP/2 frame that we take: at 1 MiB a large message is one frame
 * (docs/rules.md#transport-windows).
 */
const HTTP2_FRAME_BYTES_MAX = 1024 * 1024;
/**
 * Silence after which a connection is pinged, and silence after that which ends it: a node that
 * vanished leaves no RST behind.
 */
const KEEPALIVE_TIME_MS = 5_000;
const KEEPALIVE_TIMEOUT_MS = 5_000;

/** Options that servers and channels share. */
export const COMMON_OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  // Bookkeeping per message that nobody here looks at.
  'grpc.enable_channelz': 0,
};

/** Options of every channel. */
export const CHANNEL_OPTIONS: ChannelOptions = {
  ...COMMON_OPTIONS,
  'grpc-node.flow_control_window': WINDOW_BYTES,
  'grpc.keepalive_permit_without_calls': 1,
  // A broker that was killed is back within a second, and must be found again at once.
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 500,
  // A pod comes back under its name with another address.
  'grpc.dns_min_time_between_resolutions_ms': 500,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_http_proxy': 0,
  // Retries of the library would keep a copy of every message; ours know what may be repeated.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
};

/* eslint-disable no-restricted-syntax -- Node's channels belong to the process. */
const raised = new WeakSet<Http2Session>();
let isSubscribed = false;
/* eslint-enable no-restricted-syntax */

/**
 * From now on, raises the limits of every HTTP/2 connection of this process. Harmless when called
 * again.
 */
export function raiseHttp2Limits(): void {
  if (isSubscribed) return;
  isSubscribed = true;
  subscribe('http2.server.stream.created', onStream);
  subscribe('http2.client.stream.created', onStream);
}

function onStream(message: unknown): void {
  const { session } = (message as { readonly stream: Http2Stream }).stream;
  if (session === undefined || raised.has(session)) return;
  raised.add(session);
  // A request may be made on a session that has no connection yet, and so nothing to set.
  if (session.connecting) session.once('connect', () => raise(session));
  else raise(session);
}

function raise(session: Http2Session): void {
  if (session.destroyed) return;
  session.settings({ initialWindowSize: WINDOW_BYTES, maxFrameSize: HTTP2_FRAME_BYTES_MAX });
  session.setLocalWindowSize(WINDOW_BYTES);
}
