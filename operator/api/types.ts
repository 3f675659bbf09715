/**
 * LogCluster, LogTopic and LogAccess as the API server holds them, defaults filled in. Pure. The
 * tables beside this file (`log-cluster.ts`, `log-topic.ts`, `log-access.ts`, `status.ts`) hold
 * bounds, defaults and descriptions; they do not compile unless they have a row for every field
 * here.
 */
import type { AccessOperation } from '../../base/access.ts';

/** The part of ObjectMeta that the operator reads. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly generation: number;
  readonly resourceVersion: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  /** RFC 3339. */
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
}

export type CommitMode = 'InSync' | 'Quorum';
export type RetentionPolicy = 'Retain' | 'Delete';
export type RolloutPolicy = 'Automatic' | 'Window' | 'Manual';
export type PauseLevel = 'All' | 'Disruptions';
export type RackSpread = 'Preferred' | 'Required';
export type TlsMode = 'Enabled' | 'Disabled';
/** From plaintext between brokers to TLS, in their order: see decide/to-tls.ts. */
export type TlsPhase = 'Plaintext' | 'Allow' | 'Prefer' | 'Require';
export type Weekday = 'Mon' | 'Tue' | 'Wed' | 'Thu' | 'Fri' | 'Sat' | 'Sun';

/** Quantities by resource name: `{ cpu: '500m', memory: '1Gi' }`. */
export type ResourceQuantities = Readonly<Record<string, string | number>>;

export interface Resources {
  readonly requests?: ResourceQuantities;
  readonly limits?: ResourceQuantities;
}

export interface Storage {
  /** Quantity. Grows, never shrinks. */
  readonly size: string;
  /** Immutable. Absent: the default class. */
  readonly storageClassName?: string;
  /** Of volumes whose LogCluster is deleted. */
  readonly whenDeleted: RetentionPolicy;
  /** Of volumes whose broker was taken out by a scale-down. */
  readonly whenScaled: RetentionPolicy;
}

export interface Rack {
  /** Label of the pod that names the rack. */
  readonly topologyKey: string;
  /** Required: a broker that would unbalance racks or share a node stays Pending. */
  readonly spread: RackSpread;
}

/** Time of week in which `rollout.policy: Window` may start to restart a broker. UTC. */
export interface RolloutWindow {
  /** `HH:MM`. */
  readonly start: string;
  readonly durationMinutes: number;
  /** Days on which it starts; absent: every day. */
  readonly days?: readonly Weekday[];
}

export interface Rollout {
  readonly policy: RolloutPolicy;
  /** With policy Window, and only then. */
  readonly window?: RolloutWindow;
  /** Most brokers that the operator has stopped at a time. */
  readonly maxUnavailable: number;
}

/** TLS of the listener that brokers and the operator use. */
export interface InternalTls {
  /**
   * Absent: as the cluster was made, which is Enabled from now on. Enabled takes one that was made
   * without TLS there.
   */
  readonly mode?: TlsMode;
  /** Of cert-manager. Absent: the operator signs, with an authority of its own. */
  readonly issuerRef?: IssuerRef;
}

/** An issuer of cert-manager. */
export interface IssuerRef {
  readonly name: string;
  readonly kind: string;
  readonly group: string;
}

/** TLS of the listener for clients. */
export interface ClientTls {
  readonly mode: TlsMode;
  /** With `tls.crt` and `tls.key`; absent: what the operator issues. */
  readonly secretName?: string;
  /** With `ca.crt`: clients must show a certificate of it. */
  readonly clientCaSecretName?: string;
}

export interface OidcIssuer {
  readonly issuer: string;
  /** Absent: those of the Kubernetes that the brokers run in. */
  readonly keys?: string;
  readonly audience?: string;
  readonly alias?: string;
}

/** Who clients are. */
export interface ClientAuth {
  /** Absent: nobody is asked. */
  readonly methods?: readonly ('mtls' | 'token' | 'oidc')[];
  /** With a file `tokens`. */
  readonly tokensSecretName?: string;
  readonly oidc?: OidcIssuer;
  readonly administrators?: readonly string[];
}

export type ListenerType = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'Gateway';

/** Who clients of one listener are. */
export type ListenerAuth = Omit<ClientAuth, 'administrators'>;

/** What one broker of a listener has otherwise. */
export interface ListenerBroker {
  readonly broker: number;
  readonly host?: string;
  readonly port?: number;
  readonly nodePort?: number;
}

/** A listener for clients beside the one that every broker has. */
export interface ClientListener {
  readonly name: string;
  readonly port: number;
  readonly type: ListenerType;
  readonly tls: ClientTls;
  readonly auth: ListenerAuth;
  /** With `{id}` for the broker's number. Absent: as the type has it. */
  readonly advertisedHost?: string;
  readonly advertisedPort?: number;
  readonly bootstrapHost?: string;
  readonly brokers?: readonly ListenerBroker[];
  readonly nodePort?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly loadBalancerSourceRanges?: readonly string[];
  readonly clients?: readonly NetworkPeer[];
}

/** What LogAccess resources of some namespaces may give. */
export interface AccessConsent {
  /** Names; `*` stands for every one. */
  readonly namespaces: readonly string[];
  /** Names, or what they begin with and `*`; so are the next ones. */
  readonly topics?: readonly string[];
  readonly groups?: readonly string[];
  readonly producers?: readonly string[];
  readonly operations: readonly AccessOperation[];
  /** Besides the accounts of the namespace itself. */
  readonly principals?: readonly string[];
  readonly rulesMax: number;
}

/** Kubernetes' own types, passed through as they are. */
export type KubernetesObject = Readonly<Record<string, unknown>>;

export interface PodTemplate {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly tolerations?: readonly KubernetesObject[];
  readonly affinity?: KubernetesObject;
  /** Replaces the operator's own spread over racks and nodes. */
  readonly topologySpreadConstraints?: readonly KubernetesObject[];
  readonly priorityClassName?: string;
  readonly imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never';
  readonly imagePullSecrets?: readonly { readonly name: string }[];
  readonly serviceAccountName?: string;
  /** Over the operator's own, field by field. */
  readonly securityContext?: PodSecurity;
  readonly env?: readonly EnvironmentVariable[];
  readonly volumes?: readonly AddedVolume[];
  /** Of the broker. */
  readonly volumeMounts?: readonly VolumeMount[];
  readonly containers?: readonly AddedContainer[];
  readonly initContainers?: readonly AddedContainer[];
  readonly terminationGracePeriodSeconds?: number;
  readonly runtimeClassName?: string;
  readonly dnsPolicy?: 'ClusterFirst' | 'None';
  readonly dnsConfig?: DnsConfig;
}

/** Further fields of these are passed through: see pod-overlay.ts. */
export interface PodSecurity {
  readonly runAsNonRoot?: boolean;
  readonly runAsUser?: number;
}

export interface EnvironmentVariable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: KubernetesObject;
}

export interface AddedVolume {
  readonly name: string;
}

export interface VolumeMount {
  readonly name: string;
  readonly mountPath?: string;
  readonly readOnly?: boolean;
}

export interface AddedContainer {
  readonly name: string;
  readonly volumeMounts?: readonly VolumeMount[];
}

export interface DnsConfig {
  readonly nameservers?: readonly string[];
  readonly searches?: readonly string[];
  readonly options?: readonly KubernetesObject[];
}

/** What an object has beside the operator's own. */
export interface ObjectOverlay {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Objects of a LogCluster beside its pods. A listener says by itself what its Services have. */
export interface ObjectOverlays {
  readonly clientsService?: ObjectOverlay;
  readonly brokersService?: ObjectOverlay;
  readonly claims?: ObjectOverlay;
  readonly budget?: ObjectOverlay;
}

/** A peer of a NetworkPolicy, passed through as it is. */
export type NetworkPeer = KubernetesObject;

/** Who may reach the brokers; absent: everybody. */
export interface NetworkPolicy {
  readonly clients?: readonly NetworkPeer[];
  readonly scrapers?: readonly NetworkPeer[];
}

/** Broker options by the flag's name in camel case. Absent ones take the broker's default. */
export type BrokerConfig = Readonly<Record<string, number | string>>;

export interface LogClusterSpec {
  readonly replicas: number;
  readonly replicationFactor: number;
  readonly minInSyncReplicas: number;
  readonly commitMode: CommitMode;
  /** Permits minInSyncReplicas = replicationFactor. */
  readonly acceptWriteStops: boolean;
  /** Absent: the operator's default when the cluster is made, and that one from then on. */
  readonly image?: string;
  readonly storage: Storage;
  /** Absent: the operator's default when the cluster is made, and the same from then on. */
  readonly resources?: Resources;
  readonly rack: Rack;
  readonly config: BrokerConfig;
  readonly rollout: Rollout;
  /**
   * Bytes per second that one broker may push to replicas that move. Absent: as the brokers have
   * it, at first without a limit.
   */
  readonly moveBytesPerSecond?: number;
  readonly internalTls: InternalTls;
  readonly clientTls: ClientTls;
  readonly auth: ClientAuth;
  /** Absent: none. */
  readonly listeners?: readonly ClientListener[];
  /** Of which rights LogAccess resources may dispose; absent: of none. */
  readonly access?: readonly AccessConsent[];
  readonly paused?: PauseLevel;
  /** Cluster whose kept volumes this LogCluster takes over. Immutable. Absent: its own UID. */
  readonly clusterId?: string;
  readonly podTemplate: PodTemplate;
  /** Absent: none has more than the operator's own. */
  readonly objects?: ObjectOverlays;
  readonly networkPolicy: NetworkPolicy;
}

/** What becomes of old records of a topic. */
export type Cleanup = 'Delete' | 'Compact' | 'Both';

export interface LogTopicConfig {
  readonly segmentBytes?: number;
  readonly segmentMs?: number;
  readonly batchBytesMax?: number;
  readonly uncleanElection?: boolean;
  readonly cleanup?: Cleanup;
  readonly retentionRecords?: number;
  readonly tombstoneRetentionMs?: number;
  readonly compactionDirtyPercent?: number;
  readonly compactionLagMinMs?: number;
  readonly compactionLagMaxMs?: number;
}

export interface Retention {
  /**
   * Duration such as `7d`, or `forever`. Absent: as the topic has it, at first the brokers'
   * default.
   */
  readonly time?: string;
  /** Quantity of one replica of one partition, or `unlimited`. Absent: the same. */
  readonly size?: string;
}

export interface LogTopicSpec {
  /** LogCluster in the same namespace. Immutable. */
  readonly clusterName: string;
  /** Immutable. Absent: the LogTopic's name. */
  readonly topicName?: string;
  /** Absent: as the topic has them, at first one. */
  readonly partitions?: number;
  /** Absent: as the topic has it, at first the LogCluster's; so are the next two. */
  readonly replicationFactor?: number;
  /** 0: follows the LogCluster's. */
  readonly minInSyncReplicas?: number;
  readonly commitMode?: CommitMode;
  readonly acceptWriteStops: boolean;
  readonly retention?: Retention;
  readonly config: LogTopicConfig;
  /** Of the topic and its records when the LogTopic is deleted. */
  readonly deletionPolicy: RetentionPolicy;
}

export interface LogAccessRule {
  readonly resource: 'topic' | 'group' | 'producer';
  /** With `*` at the end all that begin so. */
  readonly name: string;
  readonly operations: readonly AccessOperation[];
}

export interface LogAccessSpec {
  /** Immutable; so is the next one. */
  readonly clusterName: string;
  /** Absent: the LogAccess's own. */
  readonly clusterNamespace?: string;
  /** Of the LogAccess's own namespace. */
  readonly serviceAccounts?: readonly string[];
  readonly principals?: readonly string[];
  readonly rules: readonly LogAccessRule[];
}

export type ConditionType =
  | 'Ready'
  | 'Available'
  | 'Progressing'
  | 'Degraded'
  | 'Enforced'
  | 'ReconciliationPaused'
  | 'TemplateMutated';
export type ConditionStatus = 'True' | 'False' | 'Unknown';

/** metav1.Condition. `lastTransitionTime` moves only when `status` does. */
export interface Condition {
  readonly type: ConditionType;
  readonly status: ConditionStatus;
  readonly observedGeneration: number;
  /** RFC 3339, whole seconds. */
  readonly lastTransitionTime: string;
  /** CamelCase. */
  readonly reason: string;
  readonly message: string;
}

export type DisruptionKind = 'Roll' | 'ScaleDown' | 'ReplaceVolume' | 'Drain' | 'Resize';

/**
 * The one disruption that is under way: every kind takes this same entry, so that two never
 * overlap. Survives the operator.
 */
export interface Disruption {
  readonly kind: DisruptionKind;
  readonly brokerIds: readonly number[];
  /** UIDs of the pods that are to be replaced, in the order of `brokerIds`. */
  readonly podUids: readonly string[];
  /** Epochs of their registrations when it began: a broker that is back has a greater one. */
  readonly brokerEpochs: readonly number[];
  readonly templateHash: string;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly phase: string;
}

export interface LossReport {
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly fromOffset: number;
  /** RFC 3339. */
  readonly at: string;
}

export interface LogClusterStatus {
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition[];
  /** Pods that exist. */
  readonly replicas?: number;
  readonly readyReplicas?: number;
  /** Pods made from the present template. */
  readonly updatedReplicas?: number;
  readonly labelSelector?: string;
  /** Set once the cluster was formed; from then on an empty cluster is a fault. */
  readonly clusterId?: string;
  readonly image?: string;
  /** As the cluster was made; absent: it is not made yet. */
  readonly internalTls?: InternalTlsStatus;
  readonly listeners?: readonly ListenerStatus[];
  /** That the brokers report; two while a roll is under way: `0.1.0, 0.2.0`. */
  readonly version?: string;
  readonly templateHash?: string;
  /** Minimum that topics without one of their own were last given. */
  readonly minInSyncReplicas?: number;
  /** Minimums that were begun to be given since, written down before the first topic gets them. */
  readonly minInSyncReplicasPending?: readonly number[];
  /** What the operator does now, in words. */
  readonly step?: string;
  /** What that step waits for, in words. */
  readonly waitingFor?: string;
  /** What the cluster survives as it stands, in words. */
  readonly durability?: string;
  readonly racks?: readonly string[];
  readonly disruption?: Disruption;
  /** Newest first. */
  readonly losses?: readonly LossReport[];
  /** Their LogTopics were deleted, and wanted them deleted too. */
  readonly topicsToDelete?: readonly DepartedTopic[];
}

/** Where clients of a listener dial. */
export interface ListenerStatus {
  readonly name: string;
  /** Where they begin: `host:port`; absent: not known yet. */
  readonly bootstrap?: string;
  readonly brokers: readonly ListenerBrokerStatus[];
}

export interface ListenerBrokerStatus {
  readonly broker: number;
  /** `host:port`; absent: not known yet. */
  readonly address?: string;
  /** The broker tells its clients so, which it does once its certificate holds the host. */
  readonly advertised: boolean;
}

export interface InternalTlsStatus {
  /** Enabled: new brokers take nothing but TLS from each other. */
  readonly mode: TlsMode;
  /** That brokers are to have on the way from plaintext to TLS; absent: they are on none. */
  readonly phase?: TlsPhase;
  /** Id of the authority that signs: the first half of its SHA-256 fingerprint. */
  readonly authority?: string;
}

/** A topic that is to go, by the id that it must still have. */
export interface DepartedTopic {
  readonly topic: string;
  readonly topicId: string;
}

export interface LogTopicStatus {
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition[];
  readonly clusterId?: string;
  /**
   * UUID of the topic that this LogTopic made or adopted: another topic of the same name is not
   * this one.
   */
  readonly topicId?: string;
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly minInSyncReplicas?: number;
  /** Absent: brokers of this feature level do not know. */
  readonly minInSyncReplicasFrom?: 'LogCluster' | 'Topic';
}

export interface LogAccessStatus {
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition[];
  /** Rules of access of the cluster that are as the spec wants them. */
  readonly rules?: number;
}

export interface LogCluster {
  readonly apiVersion: 'tidemark.dev/v1alpha1';
  readonly kind: 'LogCluster';
  readonly metadata: ObjectMeta;
  readonly spec: LogClusterSpec;
  readonly status?: LogClusterStatus;
}

export interface LogTopic {
  readonly apiVersion: 'tidemark.dev/v1alpha1';
  readonly kind: 'LogTopic';
  readonly metadata: ObjectMeta;
  readonly spec: LogTopicSpec;
  readonly status?: LogTopicStatus;
}

export interface LogAccess {
  readonly apiVersion: 'tidemark.dev/v1alpha1';
  readonly kind: 'LogAccess';
  readonly metadata: ObjectMeta;
  readonly spec: LogAccessSpec;
  readonly status?: LogAccessStatus;
}
