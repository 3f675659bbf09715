/** Every mutation. `docs/proof.md` shows this table. */
import { ACCESS } from './access.ts';
import { APPEND_IF } from './append-if.ts';
import { COMPACTION } from './compaction.ts';
import { COMPACTION_DRIVER } from './compaction-driver.ts';
import { COMPACTION_ORDERS } from './compaction-orders.ts';
import { FOLLOWERS } from './followers.ts';
import { GROUP_MEMBERS } from './group-members.ts';
import { GROUPS } from './groups.ts';
import { LISTENERS } from './listeners.ts';
import { METADATA } from './metadata.ts';
import { OPERATOR } from './operator.ts';
import { PARTITIONS } from './partitions.ts';
import { QUEUE_MEMBERS } from './queue-members.ts';
import { QUEUE_SHELL } from './queue-shell.ts';
import { QUEUES } from './queues.ts';
import { RAFT } from './raft.ts';
import { REPLICATION } from './replication.ts';
import { RUNTIME } from './runtime.ts';
import { STORAGE } from './storage.ts';
import { TRIMS } from './trims.ts';
import type { Mutation } from './types.ts';

export const MUTATIONS: readonly Mutation[] = [
  ...REPLICATION,
  ...PARTITIONS,
  ...APPEND_IF,
  ...TRIMS,
  ...COMPACTION_ORDERS,
  ...COMPACTION_DRIVER,
  ...METADATA,
  ...FOLLOWERS,
  ...STORAGE,
  ...COMPACTION,
  ...RUNTIME,
  ...RAFT,
  ...OPERATOR,
  ...ACCESS,
  ...GROUPS,
  ...GROUP_MEMBERS,
  ...QUEUES,
  ...QUEUE_SHELL,
  ...QUEUE_MEMBERS,
  ...LISTENERS,
];
