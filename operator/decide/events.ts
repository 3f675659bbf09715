/**
 * What the operator tells as Kubernetes events, and why it refuses: the two tables behind
 * docs/events.md. Pure data.
 */

interface Entry {
  readonly type: 'Normal' | 'Warning';
  /** What is done, CamelCase. */
  readonly action: string;
  readonly meaning: string;
}

/** Events of LogClusters, LogTopics and LogAccess by their reason. */
export const KUBE_EVENTS = {
  ClusterFormed: {
    type: 'Normal',
    action: 'Bootstrap',
    meaning: 'Every disk was empty, and one broker is told to begin the cluster',
  },
  ClusterAdopted: {
    type: 'Normal',
    action: 'Adopt',
    meaning: 'The volumes hold a cluster of another LogCluster, which `spec.clusterId` names',
  },
  BrokerRestarting: {
    type: 'Normal',
    action: 'Roll',
    meaning: 'Every gate is open; the broker hands over its leaderships, and its pod is replaced',
  },
  BrokerRestarted: {
    type: 'Normal',
    action: 'Roll',
    meaning: 'The broker is back in every sync set and leads what it should',
  },
  StuckPodReplaced: {
    type: 'Normal',
    action: 'DeletePod',
    meaning: 'A pod that did not run and is not of the present template is deleted',
  },
  LeadershipsGivenAway: {
    type: 'Normal',
    action: 'PrepareStop',
    meaning: 'The node of a broker is cordoned, so that it leads nothing when it is evicted',
  },
  StopTakenBack: {
    type: 'Normal',
    action: 'CancelStop',
    meaning: 'A broker had been told to stop and is not stopped now; it may lead again',
  },
  RebalanceStarted: {
    type: 'Normal',
    action: 'Rebalance',
    meaning: 'Partitions move to brokers that hold few or none',
  },
  BrokerDecommissioning: {
    type: 'Normal',
    action: 'ScaleDown',
    meaning: 'Everything is moved away from a broker that is too many',
  },
  BrokerStopped: {
    type: 'Normal',
    action: 'ScaleDown',
    meaning: 'The broker holds nothing any more, and its pod is removed',
  },
  BrokerRemoved: {
    type: 'Normal',
    action: 'ScaleDown',
    meaning: 'The cluster has forgotten the broker; its volume is kept',
  },
  VolumeReplaced: {
    type: 'Warning',
    action: 'ReplaceVolume',
    meaning: 'A node is gone with its volume; the broker begins with an empty one and copies',
  },
  CertificateAuthorityChanged: {
    type: 'Normal',
    action: 'Certify',
    meaning:
      'A certificate authority was made, is trusted beside the one of before, signs in its place, or is trusted no more',
  },
  CertificatesIssued: {
    type: 'Normal',
    action: 'Certify',
    meaning: 'Brokers or the operator have new certificates; no broker restarts for them',
  },
  ImageUnavailable: {
    type: 'Warning',
    action: 'Observe',
    meaning: 'The image of a broker cannot be pulled; no other broker is stopped for it',
  },
  BrokerCrashes: {
    type: 'Warning',
    action: 'Observe',
    meaning: 'A broker ends again and again; its last words are in the note',
  },
  TemplateMutated: {
    type: 'Warning',
    action: 'Apply',
    meaning: 'A policy or somebody keeps an object otherwise than it is applied; all else goes on',
  },
  MinimumsKept: {
    type: 'Normal',
    action: 'AlterTopic',
    meaning: 'spec.minInSyncReplicas changed, and topics that do not follow it keep another',
  },
  TopicCreated: { type: 'Normal', action: 'CreateTopic', meaning: 'LogTopic: the topic was made' },
  TopicChanged: {
    type: 'Normal',
    action: 'AlterTopic',
    meaning: 'LogTopic: the topic was given what the spec wants',
  },
  TopicDeleted: {
    type: 'Normal',
    action: 'DeleteTopic',
    meaning: 'A LogTopic that wanted its topic deleted with it is gone, and so is the topic now',
  },
  TopicRefused: {
    type: 'Warning',
    action: 'Refuse',
    meaning:
      'LogTopic: brokers or API server refuse what it wants; it is tried again, less and less often',
  },
  TopicTaken: {
    type: 'Warning',
    action: 'Refuse',
    meaning: 'LogTopic: another LogTopic has this topic',
  },
  TopicReplaced: {
    type: 'Warning',
    action: 'Refuse',
    meaning: 'LogTopic: somebody deleted the topic and made another of its name',
  },
  TopicInvalid: {
    type: 'Warning',
    action: 'Refuse',
    meaning: 'LogTopic: the spec is at fault',
  },
  PartitionsCannotShrink: {
    type: 'Warning',
    action: 'Refuse',
    meaning: 'LogTopic: the topic has more partitions than the spec wants, and cannot lose any',
  },
  AccessGranted: {
    type: 'Normal',
    action: 'GrantAccess',
    meaning: 'LogAccess: the brokers have every rule that it wants',
  },
  AccessRevoked: {
    type: 'Normal',
    action: 'RevokeAccess',
    meaning:
      'LogCluster: rights that LogAccess had given were taken back, since none wants them any more or spec.access does not have them any more',
  },
  AccessNotConsented: {
    type: 'Warning',
    action: 'Refuse',
    meaning: 'LogAccess: the LogCluster does not consent to what it wants, or to so many rules',
  },
  AccessRefused: {
    type: 'Warning',
    action: 'Refuse',
    meaning: 'LogAccess: brokers refuse what it wants; it is tried again, less and less often',
  },
  AccessInvalid: {
    type: 'Warning',
    action: 'Refuse',
    meaning: 'LogAccess: the spec is at fault; what its namespace was given stays as it is',
  },
} as const satisfies Record<string, Entry>;

export type KubeEventReason = keyof typeof KUBE_EVENTS;

/**
 * Gates: why something that is wanted is not done now. A new refusal is told once, as a Warning
 * with the gate as its reason, and stays in the conditions.
 */
export const GATE_MEANINGS = {
  AppendsStalled: 'Records wait for followers that are in sync and do not follow',
  ApprovalMissing: 'The rollout policy is Manual, and nobody has approved this template',
  BrokerNotFenced: 'A lost volume is replaced only once the controller has fenced its broker',
  BrokerOutOfService: 'Another broker does not serve',
  CertificateAuthorityLost:
    'The Secret of the certificate authority is gone, or holds another one; no new one is made unasked',
  CertificateMissing: 'A broker would find no certificate when it starts again',
  CertificatePending: 'An issuer of cert-manager has not issued a certificate that is needed',
  CertificatesUnreadable: 'The operator may not read the Secrets of certificates',
  ControllerUnknown: 'No broker answers as controller, so nothing is known',
  ForeignVolume: 'Volumes hold another cluster than this one',
  GrowthRefused: 'The storage class does not let volumes grow',
  InternalTlsAllow:
    'Brokers that run in plaintext are to take TLS beside it, once all serve and know how',
  InternalTlsFixed: 'Brokers that take TLS alone from each other do not go back to plaintext',
  InternalTlsPlaintext: 'Brokers are to take plaintext alone again, once none dials TLS',
  InternalTlsPrefer: 'Brokers that take TLS beside plaintext are to dial it, once all say so',
  InternalTlsRequire: 'Brokers that dial TLS are to take nothing else, once all say so',
  IssuerUnavailable:
    'The LogCluster names an issuer, and cert-manager is not there or may not be asked',
  LastCopy: 'A lost volume holds the last copy of a partition, and nobody has given it up by name',
  LeadersAway: 'Leaderships are not back where they belong after the last restart',
  ManagedElsewhere: 'Another operator has claimed this LogCluster: this one does nothing',
  MetadataBehind:
    'A voter does not hear the controller, or a leader has not seen the newest metadata',
  MinAboveReplicationFactor: 'The new minimum is above the replication factor of a topic',
  NameTaken: 'An object under one of our names is not of this LogCluster; it is not touched',
  NodeMissing: 'A node is believed to be gone only once it has been missing for minutes',
  OutsideWindow: 'The rollout window is closed',
  Paused: 'Changes are paused by `spec.paused`',
  ReplicasBehind: 'A sync set is not whole since the last restart',
  TooFewBrokers: 'Topics need more brokers than a scale-down would leave',
  Unknown: 'A pod is expected and not seen',
  VerdictUnknown: 'No broker said what a stop would cost',
  VolumesEmpty: 'The cluster was formed before, and every disk is empty',
  WorkloadBehind: 'The StatefulSet is not yet as it should be',
  WriteRefused: 'The API server or a broker refuses what is to be done',
  WouldHarm: 'A stop would refuse appends, or take a last copy or the quorum',
} as const satisfies Record<string, string>;

export type GateName = keyof typeof GATE_MEANINGS;

/** Type and action of the event with this reason. */
export function kindOf(reason: KubeEventReason | GateName): {
  readonly type: 'Normal' | 'Warning';
  readonly action: string;
} {
  return isGate(reason) ? { type: 'Warning', action: 'Refuse' } : KUBE_EVENTS[reason];
}

function isGate(reason: string): reason is GateName {
  return Object.hasOwn(GATE_MEANINGS, reason);
}
