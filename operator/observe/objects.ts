/**
 * What the operator reads of pods, volume claims, nodes and workloads. Pure: raw JSON in, views
 * out.
 */
import { hostPort } from '../../base/host-port.ts';
import type { KubeObject } from '../api/kinds.ts';
import {
  BROKER_INTERNAL_PORT,
  BROKER_PORT,
  CLUSTER_ID_LABEL,
  INTERNAL_PORT_NAME,
  TEMPLATE_HASH_LABEL,
} from '../api/names.ts';
import { quantityValue } from '../api/quantity.ts';
import { shortened } from '../decide/service.ts';
import type { ClaimView, PodView } from '../decide/types.ts';
import { tlsPhaseOf } from '../objects/pod.ts';

/** States of a container that only a new spec, or somebody outside, ends. */
const STUCK_REASONS = [
  'CrashLoopBackOff',
  'ImagePullBackOff',
  'ErrImagePull',
  'ErrImageNeverPull',
  'InvalidImageName',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
];

interface StatusCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

interface PodJson {
  readonly spec?: {
    readonly nodeName?: string;
    readonly containers?: readonly { readonly ports?: readonly { readonly name?: string }[] }[];
  };
  readonly status?: {
    readonly podIP?: string;
    readonly conditions?: readonly StatusCondition[];
    readonly containerStatuses?: readonly {
      readonly state?: {
        readonly waiting?: { readonly reason?: string; readonly message?: string };
      };
      readonly lastState?: { readonly terminated?: { readonly message?: string } };
    }[];
  };
}

/**
 * Number at the end of a StatefulSet's pod or claim name after `prefix-`; null for any other name.
 */
export function ordinalOf(name: string, prefix: string): number | null {
  const rest = name.startsWith(`${prefix}-`) ? name.slice(prefix.length + 1) : '';
  return /^(0|[1-9]\d*)$/.test(rest) ? Number(rest) : null;
}

/** Node on which a pod runs or is to run; null: not scheduled. */
export function nodeOfPod(pod: KubeObject): string | null {
  return (pod as PodJson).spec?.nodeName ?? null;
}

/** Whether a node takes no more pods, as `kubectl cordon` and `drain` have it. */
export function isCordonedNode(node: KubeObject | undefined): boolean {
  const { unschedulable } = (node?.['spec'] ?? {}) as { readonly unschedulable?: boolean };
  return unschedulable === true;
}

export function podView(
  pod: KubeObject,
  brokerId: number,
  cordonedForMs: number | null = null,
): PodView {
  const { status } = pod as PodJson;
  const { name, uid = '', resourceVersion = '', labels, deletionTimestamp } = pod.metadata;
  const ready = conditionOf(status?.conditions, 'Ready');
  return {
    brokerId,
    name,
    uid,
    resourceVersion,
    isReady: ready?.status === 'True',
    isTerminating: deletionTimestamp !== undefined,
    node: nodeOfPod(pod),
    templateHash: labels?.[TEMPLATE_HASH_LABEL] ?? '',
    tlsPhase: tlsPhaseOf(pod),
    stuck: stuckReason(pod as PodJson),
    cordonedForMs,
  };
}

/**
 * Where the operator dials a pod's broker; null until it has an address. A pod of a template from
 * before the internal listener has one port for everything.
 */
export function podAddress(pod: KubeObject): string | null {
  const { spec, status } = pod as PodJson;
  const address = status?.podIP;
  if (address === undefined || address === '') return null;
  const names = (spec?.containers ?? []).flatMap(({ ports = [] }) => ports.map(({ name }) => name));
  return hostPort(address, names.includes(INTERNAL_PORT_NAME) ? BROKER_INTERNAL_PORT : BROKER_PORT);
}

function stuckReason({ status }: PodJson): string | null {
  const scheduled = conditionOf(status?.conditions, 'PodScheduled');
  if (scheduled?.status === 'False') return sentence(scheduled.reason, scheduled.message);
  const stuck = (status?.containerStatuses ?? []).find(({ state }) =>
    STUCK_REASONS.includes(state?.waiting?.reason ?? ''),
  );
  if (stuck === undefined) return null;
  const { reason, message } = stuck.state?.waiting ?? {};
  // What the kubelet says of a container that ends again and again is only that it does.
  return sentence(reason, lastWords(stuck.lastState?.terminated?.message ?? '') ?? message);
}

/**
 * Why a container ended, from the end of its log: the reason in a line of ours, else the line; null
 * where there is none.
 */
function lastWords(log: string): string | null {
  const line = log.trimEnd().split('\n').at(-1) ?? '';
  try {
    const { reason } = JSON.parse(line) as { readonly reason?: unknown };
    return typeof reason === 'string' ? reason : line;
  } catch {
    return line === '' ? null : line;
  }
}

/**
 * Messages of runtimes go on and on, and what matters is often at their end; one of this length
 * still fits an event with what we say around it.
 */
const DETAIL_LENGTH_MAX = 800;

function sentence(reason = 'Unknown', message = ''): string {
  return message === '' ? reason : `${reason}: ${shortened(message, DETAIL_LENGTH_MAX)}`;
}

function conditionOf(
  conditions: readonly StatusCondition[] | undefined,
  type: string,
): StatusCondition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

interface ClaimJson {
  readonly spec?: {
    readonly volumeName?: string;
    readonly resources?: { readonly requests?: { readonly storage?: string } };
  };
  readonly status?: {
    readonly capacity?: { readonly storage?: string };
    readonly conditions?: readonly StatusCondition[];
  };
}

/** Name of the volume that a claim is bound to; null where it is not. */
export function volumeOf(claim: KubeObject): string | null {
  return (claim as ClaimJson).spec?.volumeName ?? null;
}

/** Cluster that a claim was marked with; null where it was not. */
export function clusterIdOf(claim: KubeObject): string | null {
  return claim.metadata.labels?.[CLUSTER_ID_LABEL] ?? null;
}

/** What does not stand in a claim itself. */
export interface ClaimFacts {
  /** Node on which alone its volume exists, where that is known. */
  readonly node: string | null;
  readonly missing: ClaimView['missing'];
  readonly growthRefusal: string | null;
  readonly isLabelled: boolean;
}

/** What a claim is asked to become. */
export function growthPatch(size: string): Record<string, unknown> {
  return { spec: { resources: { requests: { storage: size } } } };
}

/** Whether a claim asks for less than `size`. */
export function asksForLess(claim: KubeObject, size: string): boolean {
  const { storage = '' } = (claim as ClaimJson).spec?.resources?.requests ?? {};
  return quantityValue(storage) < quantityValue(size);
}

export function claimView(claim: KubeObject, brokerId: number, facts: ClaimFacts): ClaimView {
  const { spec, status } = claim as ClaimJson;
  const { name, uid = '', resourceVersion = '', deletionTimestamp } = claim.metadata;
  const capacity = status?.capacity?.storage;
  const fault = (status?.conditions ?? []).find(
    ({ type, status: holds }) => type.endsWith('ResizeError') && holds === 'True',
  );
  return {
    brokerId,
    name,
    uid,
    resourceVersion,
    volume: volumeOf(claim),
    clusterId: clusterIdOf(claim),
    requestedBytes: quantityValue(spec?.resources?.requests?.storage ?? ''),
    capacityBytes: capacity === undefined ? null : quantityValue(capacity),
    isTerminating: deletionTimestamp !== undefined,
    resizeFault: fault === undefined ? null : sentence(fault.reason ?? fault.type, fault.message),
    ...facts,
  };
}

/** Of nodes; local volumes name it, and it need not be the node's name. */
export const HOSTNAME_LABEL = 'kubernetes.io/hostname';

interface VolumeJson {
  readonly spec?: {
    readonly nodeAffinity?: {
      readonly required?: {
        readonly nodeSelectorTerms?: readonly {
          readonly matchExpressions?: readonly {
            readonly key: string;
            readonly operator: string;
            readonly values?: readonly string[];
          }[];
        }[];
      };
    };
  };
}

/**
 * The one node that a volume is tied to by its host name; null where there is none, or more than
 * one.
 */
export function nodeOfVolume(volume: KubeObject): string | null {
  const terms = (volume as VolumeJson).spec?.nodeAffinity?.required?.nodeSelectorTerms ?? [];
  const names = terms.flatMap(({ matchExpressions = [] }) =>
    matchExpressions
      .filter(({ key, operator }) => key === HOSTNAME_LABEL && operator === 'In')
      .flatMap(({ values = [] }) => values),
  );
  return terms.length === 1 && names.length === 1 ? (names[0] ?? null) : null;
}
