/**
 * The one table of facts that a broker tells: name, level in its log, meaning, fields.
 * `docs/events.md` shows it. Only a name of the table, with exactly its fields, compiles where a
 * fact is told.
 */

interface Entry {
  /**
   * `error`: the broker, or a partition on it, cannot go on. `warn`: a person should look at it.
   */
  readonly level: 'info' | 'warn' | 'error';
  readonly meaning: string;
  readonly fields: readonly string[];
}

/** In the order of a broker's life, then what its controller tells. */
export const EVENTS = {
  starting: {
    level: 'info',
    meaning: 'The directory belongs to a cluster; its logs are recovered',
    fields: ['directoryId', 'clusterId', 'restartClass', 'reason'],
  },
  'internal-listener-open': {
    level: 'warn',
    meaning:
      'Other machines reach the internal listener, which has no TLS: whoever reaches it can act as a broker',
    fields: ['host'],
  },
  'tls-loaded': {
    level: 'info',
    meaning: 'A listener takes this certificate for connections from now on',
    fields: ['listener', 'subject', 'fingerprint', 'notAfter'],
  },
  'tls-refused': {
    level: 'error',
    meaning: 'Changed certificate files of a listener cannot be used; it keeps those it has',
    fields: ['listener', 'reason'],
  },
  'listener-advertised': {
    level: 'info',
    meaning: 'Clients of a named listener are told this address of this broker from now on',
    fields: ['listener', 'address'],
  },
  'listener-withheld': {
    level: 'warn',
    meaning:
      'Clients of a named listener are not sent to this broker, since its address is no good',
    fields: ['listener', 'reason'],
  },
  'connection-refused': {
    level: 'warn',
    meaning:
      'A connection was closed as it came, by a bound on what clients may cost; told at most once in ten seconds, with how many there were',
    fields: ['reason', 'address', 'count'],
  },
  'call-refused': {
    level: 'warn',
    meaning:
      'A call or a batch was refused with OVERLOADED: too much is held for clients; told as above',
    fields: ['reason', 'address', 'count'],
  },
  'connection-closed': {
    level: 'warn',
    meaning:
      'The greediest connection was closed: more was held for clients than may be; told as above',
    fields: ['reason', 'address', 'count', 'bytes'],
  },
  'admin-call': {
    level: 'info',
    meaning: 'Somebody changed something, or was refused to: told whatever the log level is',
    fields: ['principal', 'from', 'listener', 'method', 'resource', 'outcome'],
  },
  'access-denied': {
    level: 'warn',
    meaning:
      'A caller was refused; `passedOver`: refusals of the same caller since the line before',
    fields: ['principal', 'from', 'listener', 'method', 'code', 'reason', 'passedOver'],
  },
  'over-quota': {
    level: 'info',
    meaning:
      'A caller was delayed or refused by a quota; told at most once in ten seconds for each quota, with how many there were',
    fields: ['principal', 'quota', 'delayMs', 'count'],
  },
  'auth-refused': {
    level: 'error',
    meaning:
      'Changed tokens, or the keys of their issuer, cannot be used; those that were good stay',
    fields: ['listener', 'what', 'reason'],
  },
  'seeds-disagree': {
    level: 'warn',
    meaning: 'The seeds know different clusters: this broker joins none',
    fields: ['clusterIds'],
  },
  'format-failed': {
    level: 'warn',
    meaning: 'The empty directory could not be formatted; it is tried again',
    fields: ['reason'],
  },
  'damage-found': {
    level: 'error',
    meaning:
      'A log was cut where its bytes are damaged; the replica is distrusted and copies again',
    fields: ['damage'],
  },
  'quorum-log-damaged': {
    level: 'error',
    meaning:
      'The quorum log is damaged or older than what it promised; the directory returns under another id',
    fields: ['reason', 'directoryId'],
  },
  registered: {
    level: 'info',
    meaning: 'The controller has accepted this incarnation',
    fields: ['brokerEpoch', 'restartClass'],
  },
  'disk-full': {
    level: 'warn',
    meaning: 'The data volume is below its reserve: this broker takes no records, and serves reads',
    fields: ['reason'],
  },
  'disk-has-room': {
    level: 'info',
    meaning: 'The data volume is above its reserve again: this broker takes records',
    fields: ['freeBytes'],
  },
  'session-waits': {
    level: 'warn',
    meaning: 'The session file found no room on the data volume; it is written again',
    fields: ['reason'],
  },
  'registration-refused': {
    level: 'warn',
    meaning: 'The controller does not accept this incarnation; it asks again',
    fields: ['reason'],
  },
  unfenced: {
    level: 'info',
    meaning: 'This broker counts, and may lead',
    fields: ['brokerEpoch'],
  },
  fenced: {
    level: 'warn',
    meaning: 'This broker does not count: the controller has not heard it for a session',
    fields: ['brokerEpoch'],
  },
  quorum: {
    level: 'info',
    meaning: 'This broker has another role, term or leader in the metadata quorum',
    fields: ['role', 'term', 'leader', 'isReady'],
  },
  'options-changed': {
    level: 'info',
    meaning: 'Options that apply while the broker runs were changed for the cluster',
    fields: ['options'],
  },
  'sync-set-change': {
    level: 'info',
    meaning: 'The controller has carried out what this leader asked for a partition',
    fields: ['partition', 'op', 'leaderEpoch'],
  },
  truncate: {
    level: 'info',
    meaning: 'A replica cut what its leader does not have',
    fields: ['partition', 'toOffset', 'keepAside'],
  },
  reset: {
    level: 'info',
    meaning:
      'A replica began anew: its leader has retired what would continue its log, or its beginning was lost',
    fields: ['partition', 'startOffset'],
  },
  'write-failed': {
    level: 'warn',
    meaning: 'A change of a log failed; a leader resigns',
    fields: ['partition', 'reason'],
  },
  'replica-stopped': {
    level: 'error',
    meaning:
      'A replica takes part no more until another leader epoch begins: going on could lose records',
    fields: ['partition', 'reason'],
  },
  'frames-refused': {
    level: 'warn',
    meaning:
      'Frames of one partition failed their checksums; they are asked for again, and the stream goes on',
    fields: ['partition', 'from', 'reason'],
  },
  'peer-refused': {
    level: 'warn',
    meaning:
      'A leader or follower said what cannot be; nothing was done, and its stream was closed',
    fields: ['partition', 'peer', 'reason'],
  },
  'push-failed': {
    level: 'warn',
    meaning: 'What a follower is to be sent could not be read; it is tried again',
    fields: ['partition', 'reason'],
  },
  'groups-unreadable': {
    level: 'error',
    meaning:
      'A partition of `__groups` holds what this build cannot read; this broker answers for none of its groups, until it runs a build that can',
    fields: ['partition', 'reason'],
  },
  'groups-shortened': {
    level: 'info',
    meaning: 'A partition of `__groups` was written anew, and begins there',
    fields: ['partition', 'logStart', 'bytes'],
  },
  'queues-unreadable': {
    level: 'error',
    meaning:
      'A partition of `__queues` holds what this build cannot read; this broker hands out no records of its queues, until it runs a build that can',
    fields: ['partition', 'reason'],
  },
  'queues-shortened': {
    level: 'info',
    meaning: 'A partition of `__queues` was written anew, and begins there',
    fields: ['partition', 'logStart', 'bytes'],
  },
  'queue-records-gone': {
    level: 'warn',
    meaning:
      'Retention (`retired`) or compaction (`superseded`) took records of a queue that no member had accepted, or nobody can decode their batch (`unreadable`)',
    fields: ['queue', 'partition', 'cause', 'records'],
  },
  'queue-diverged': {
    level: 'warn',
    meaning:
      'An unclean election cut the log below what a queue had read: what it knew above is forgotten',
    fields: ['queue', 'partition', 'offset', 'records'],
  },
  'queue-record-died': {
    level: 'info',
    meaning:
      'A record of a queue was rejected, or delivered as often as it may be, and goes to the dead-letter topic',
    fields: ['queue', 'partition', 'offset', 'cause'],
  },
  'group-forgotten': {
    level: 'info',
    meaning: 'A group was not used for 30 days, and is forgotten with its cursors',
    fields: ['group'],
  },
  'producers-unread': {
    level: 'warn',
    meaning:
      'The producers of a log that was cut could not be read from it; the replica leads only where no other can, and it is tried again',
    fields: ['partition', 'reason'],
  },
  compacted: {
    level: 'info',
    meaning: 'A replica has carried an order to compact its log out',
    fields: ['partition', 'upTo', 'tombstonesBelow', 'bytesBefore', 'bytesAfter', 'durationMs'],
  },
  'segments-merged': {
    level: 'info',
    meaning: 'Small segments of a compacted log became part of others',
    fields: ['partition', 'removed', 'segments', 'bytes', 'durationMs'],
  },
  'compaction-waits': {
    level: 'warn',
    meaning: 'Compaction of a log waits for space or descriptors, and goes on by itself',
    fields: ['partition', 'reason', 'bytesNeeded'],
  },
  'compaction-failed': {
    level: 'error',
    meaning: 'A log could not be compacted; it is tried again after a minute',
    fields: ['partition', 'reason'],
  },
  'time-retention-paused': {
    level: 'warn',
    meaning: "Retention by time waits: this broker's clock is wrong, or jumped",
    fields: ['reason', 'clockSkewMs', 'clockSkewMsMax'],
  },
  'time-retention-waits': {
    level: 'info',
    meaning: "Retention by time waits until this broker's clock was compared often enough",
    fields: ['reason'],
  },
  'time-retention-resumed': {
    level: 'info',
    meaning: "Retention by time goes on: this broker's clock is believed again",
    fields: ['clockSkewMs', 'clockSkewMsMax'],
  },
  'leadership-drained': {
    level: 'info',
    meaning: 'The broker stops in order: its appends are committed, and others lead',
    fields: ['leadersLeft'],
  },
  'stop-taken-back': {
    level: 'info',
    meaning: 'The orderly stop was called off; the broker may lead again',
    fields: [],
  },
  'stop-waits': {
    level: 'warn',
    meaning:
      'The pod is to be deleted, and a stop now would refuse appends, or take a last copy or the quorum: the broker makes it wait',
    fields: ['reason'],
  },
  'stop-unsafe': {
    level: 'warn',
    meaning: 'That wait is over without avail; the broker is stopped all the same',
    fields: ['reason', 'waitedMs'],
  },
  'stop-deadline-passed': {
    level: 'warn',
    meaning: 'The broker stops although it still leads: the time for an orderly stop is over',
    fields: ['leadersLeft'],
  },
  'stop-unheard': {
    level: 'warn',
    meaning: 'The broker stops although it still leads: no controller has answered for a session',
    fields: ['leadersLeft'],
  },
  'leave-failed': {
    level: 'warn',
    meaning: 'The controller could not be told of the stop; it will notice the silence',
    fields: ['reason'],
  },
  stopped: { level: 'info', meaning: 'Everything is closed', fields: ['uptimeMs'] },
  'storage-failed': {
    level: 'error',
    meaning: 'A write or sync failed: nothing of this disk is vouched for, and the broker ends',
    fields: ['reason'],
  },
  'lossy-notice-failed': {
    level: 'warn',
    meaning:
      'The session file could not be deleted after a failed write; the controller was asked to distrust',
    fields: ['reason'],
  },
  'quorum-failed': {
    level: 'error',
    meaning: 'The metadata log cannot be relied on; the broker ends and returns as a learner',
    fields: ['reason', 'isRolledBack'],
  },
  'metadata-unreadable': {
    level: 'error',
    meaning:
      'This build cannot read what the cluster has decided: the broker counts no more, and waits for a build that can',
    fields: ['index', 'reason'],
  },
  'metadata-readable': {
    level: 'info',
    meaning: 'The metadata of the cluster can be read again; the broker asks to count',
    fields: ['index'],
  },
  'quorum-message-refused': {
    level: 'warn',
    meaning:
      'A broker said in the metadata quorum what no sound one would; at most one line a second, `count` says how many',
    fields: ['reason', 'count'],
  },
  'renew-failed': {
    level: 'warn',
    meaning: 'The directory could not be given another id; the next start tries again',
    fields: ['reason'],
  },
  'broker-registered': {
    level: 'info',
    meaning: 'Controller: a broker has registered; its class and what changed for partitions',
    fields: ['brokerId', 'brokerEpoch', 'restartClass', 'partitionsChanged'],
  },
  'restart-class-downgraded': {
    level: 'warn',
    meaning: 'Controller: a broker claimed a better restart class than its session file can show',
    fields: ['brokerId', 'brokerEpoch', 'claimed', 'reason'],
  },
  'broker-unfenced': {
    level: 'info',
    meaning: 'Controller: a broker counts again',
    fields: ['brokerId', 'brokerEpoch', 'partitionsChanged'],
  },
  'brokers-fenced': {
    level: 'info',
    meaning: 'Controller: brokers are silent or their connections broke; others take over',
    fields: ['brokerIds', 'reason', 'partitionsChanged'],
  },
  'broker-condemned': {
    level: 'warn',
    meaning: 'Controller: a broker says that its disk failed; its logs are distrusted',
    fields: ['brokerId', 'brokerEpoch', 'partitionsChanged'],
  },
  'replica-ability-changed': {
    level: 'warn',
    meaning:
      'Controller: a broker says that a replica cannot lead, or, with an empty reason, that it can again',
    fields: ['brokerId', 'topicId', 'partition', 'reason'],
  },
  'broker-stopping': {
    level: 'info',
    meaning: 'Controller: a broker wants to stop; its leaderships move',
    fields: ['brokerId', 'partitionsChanged'],
  },
  'broker-staying': {
    level: 'info',
    meaning: 'Controller: a broker took its stop back',
    fields: ['brokerId', 'partitionsChanged'],
  },
  'broker-cordoned': {
    level: 'info',
    meaning: 'Controller: a broker is being emptied',
    fields: ['brokerId', 'replicasLeft'],
  },
  'broker-recommissioned': {
    level: 'info',
    meaning: 'Controller: a broker is not emptied any more',
    fields: ['brokerId', 'replicasLeft'],
  },
  'broker-removed': {
    level: 'info',
    meaning: 'Controller: a broker is forgotten, and its directory refused from now on',
    fields: ['brokerId'],
  },
  'producer-name-forgotten': {
    level: 'warn',
    meaning:
      'Controller: the name of a producer was not taken for long and made room for another; whoever writes under it must take it anew',
    fields: ['name', 'owner', 'producerId', 'producerEpoch', 'hours'],
  },
  'inspection-refused': {
    level: 'warn',
    meaning: 'Controller: a broker described its log as no log can be; it is asked again',
    fields: ['partition', 'brokerId'],
  },
  'leader-elected-uncleanly': {
    level: 'warn',
    meaning:
      'Controller: no trusted log could answer; records from `fromOffset` on may be lost, and the loss is recorded',
    fields: ['topic', 'partition', 'leader', 'leaderEpoch', 'fromOffset'],
  },
  'voters-changed': {
    level: 'info',
    meaning: 'Controller: the metadata quorum has other voters',
    fields: ['voters'],
  },
  'voters-change-refused': {
    level: 'info',
    meaning: 'Controller: a change of voters did not come about; it is tried again',
    fields: ['voters', 'reason'],
  },
  'controller-proposal-failed': {
    level: 'info',
    meaning: 'Controller: an entry was not committed; this controller ends, the next one goes on',
    fields: ['reason'],
  },
  'cluster-record-failed': {
    level: 'warn',
    meaning: 'Controller: the first record of a new cluster was not committed',
    fields: ['reason'],
  },
} as const satisfies Record<string, Entry>;

type EventName = keyof typeof EVENTS;

/** An event, and a value for each of its fields. */
export type Fact = {
  [Name in EventName]: [
    event: Name,
    fields: Readonly<Record<(typeof EVENTS)[Name]['fields'][number], string | number | boolean>>,
  ];
}[EventName];

export type OnFact = (...fact: Fact) => void;
