/** What Kubernetes says of the LogCluster: its conditions, and what the operator waits for. */
import type { ConditionSeen, LogClusterSeen } from '../snapshot.ts';

/** Conditions for which False is well. */
const GOOD_WHEN_FALSE: readonly string[] = ['Degraded', 'Progressing', 'Stalled'];

export function Operator({ logCluster }: { readonly logCluster: LogClusterSeen | null }) {
  if (logCluster === null) return null;
  const { namespace, name, fault, conditions, step, waitingFor, durability } = logCluster;
  return (
    <section class="operator" aria-label={`LogCluster ${namespace}/${name}`}>
      <h2>{`LogCluster ${namespace}/${name}`}</h2>
      {fault !== '' && <p class="fault">{fault}</p>}
      {step !== '' && (
        <p>{`The operator: ${step}${waitingFor === '' ? '' : `; waits for ${waitingFor}`}`}</p>
      )}
      {durability !== '' && <p class="hint">{durability}</p>}
      <ul class="conditions">
        {conditions.map((condition) => (
          <li key={condition.type}>
            <span class={`condition ${isWell(condition) ? 'well' : 'ill'}`}>
              <b>{condition.type}</b> {condition.status}
            </span>
            <span>
              {condition.reason}
              {condition.message === '' ? '' : `: ${condition.message}`}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function isWell({ type, status }: ConditionSeen): boolean {
  return status === (GOOD_WHEN_FALSE.includes(type) ? 'False' : 'True');
}
