/** Whether settings of the cluster say the same. Pure. */
import type { ClusterSettings } from './types.ts';

/** Whatever the order in which they were set. */
export function isSameSettings(left: ClusterSettings, right: ClusterSettings): boolean {
  return (
    left.moveBytesPerSecond === right.moveBytesPerSecond &&
    isSameFields(left.brokerOptions, right.brokerOptions) &&
    isSameFields(left.topicDefaults, right.topicDefaults)
  );
}

function isSameFields(left: object, right: object): boolean {
  const others = new Map(Object.entries(right));
  const own = Object.entries(left);
  return own.length === others.size && own.every(([name, value]) => others.get(name) === value);
}
