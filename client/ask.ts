/** A plain call on behalf of a caller who may abort it. */
import { aborted, type CallControl, CONTROL, orAborted } from './abort.ts';
import { checkArgument } from './check.ts';
import type { CallOptions, Cluster } from './cluster.ts';
import type { UnaryMethod } from './connections.ts';

/**
 * Rejects with ABORTED where the signal says so: for certain where it only read, or was never sent.
 *
 * @param doing what the messages of its errors call it
 */
export async function ask<Request, Response>(
  cluster: Cluster,
  doing: string,
  method: UnaryMethod<Request, Response>,
  request: Request,
  control: CallControl = {},
  options: CallOptions = {},
): Promise<Response> {
  checkArgument(doing, CONTROL, control);
  const { signal } = control;
  if (signal === undefined) return cluster.call(method, request, options);
  if (signal.aborted) throw aborted(doing, signal, 'none');
  const call = cluster.call(method, request, { ...options, signal });
  return orAborted(call, signal, doing, options.isRead === true ? 'none' : 'unknown');
}
