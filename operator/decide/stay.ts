/**
 * Brokers that were told to stop and are not stopped: a roll that was called off, an operator that
 * died between the two, a person's own PrepareStop. They lead nothing until told otherwise, so
 * whoever is not stopped by this very plan is told. Pure.
 */
import { brokersNamed, canStay, isStranded } from './service.ts';
import type { Action, EventNote, Observation } from './types.ts';

/** @param planned of the same pass: brokers that it stops are left alone */
export function stays(
  observation: Observation,
  planned: readonly Action[],
): { readonly actions: readonly Action[]; readonly events: readonly EventNote[] } {
  if (!canStay(observation)) return { actions: [], events: [] };
  const isStopped = (id: number): boolean =>
    planned.some((action) => action.kind === 'prepare-stop' && action.brokerId === id);
  const staying = observation.pods.filter(
    (pod) => isStranded(observation, pod) && !isStopped(pod.brokerId),
  );
  return {
    actions: staying.map(({ brokerId }) => ({ kind: 'cancel-stop', brokerId })),
    events: staying.map(({ brokerId }) => ({
      reason: 'StopTakenBack',
      note: `${brokersNamed([brokerId])} had been told to stop and is not stopped now: it may lead again`,
      brokerId,
    })),
  };
}
