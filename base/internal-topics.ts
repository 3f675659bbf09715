/**
 * Topics that the cluster keeps for itself. Their names begin as no client's topic may, clients
 * neither append to them nor change them, and listings leave them out unless they are asked for.
 */

/** How the names of all of them begin. */
export const INTERNAL_PREFIX = '__';

/** Cursors and groups, by the group's name. */
export const GROUPS_TOPIC = '__groups';
/** A group's partition is the hash of its name modulo this, so that it never changes. */
export const GROUPS_PARTITIONS = 16;

/** What became of the records of queues, by queue, topic and partition. */
export const QUEUES_TOPIC = '__queues';
/** As of {@link GROUPS_PARTITIONS}: a queue's partition stays with one of them. */
export const QUEUES_PARTITIONS = 16;

/** Whether a topic is the cluster's own. */
export function isInternalTopic(name: string): boolean {
  return name.startsWith(INTERNAL_PREFIX);
}
