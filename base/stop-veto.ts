/**
 * How long a broker may hold up its own stop: a pod that is deleted asks it first, at a page of its
 * port for probes. Bounds and page for the broker that answers and the operator that makes the pod.
 */

/** Answers once the broker may be stopped, or has waited for as long as it may. */
export const STOP_PAGE = '/may-stop';
/** Longest wait, while a replica catches up. Part of the pod's grace period. */
export const STOP_VETO_MS_MAX = 60_000;
/**
 * Longest wait for brokers that are away: a pod comes back within this, or not soon. A whole
 * cluster that is deleted takes no longer.
 */
export const STOP_VETO_AWAY_MS_MAX = 30_000;
