/**
 * The StatefulSet of a LogCluster. Pure. `OnDelete`: the operator alone restarts brokers.
 * `Parallel`: brokers need each other to become ready.
 */
import type { KubeObject } from '../api/kinds.ts';
import {
  BROKER_CONTAINER,
  brokersServiceName,
  DATA_VOLUME,
  GROUP_VERSION,
  objectLabels,
  selectorLabels,
  TEMPLATE_ANNOTATION,
  TEMPLATE_HASH_LABEL,
  TEMPLATE_INPUTS_ANNOTATION,
} from '../api/names.ts';
import { DEFAULT_RESOURCES } from '../api/pod-schema.ts';
import type {
  LogCluster,
  LogClusterSpec,
  ObjectOverlay,
  PodTemplate,
  Resources,
  TlsPhase,
} from '../api/types.ts';
import { buildPodTemplate, tlsPhaseOf } from './pod.ts';
import type { PodTemplateSpec, PodUser } from './pod.ts';
import { canonicalJson, isMadeFrom, templateHash, templateInputs } from './template.ts';
import type { RecordedTemplate } from './template.ts';

/** A Kubernetes object as JSON, ready for server-side apply. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences: readonly OwnerReference[];
  };
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller: true;
  readonly blockOwnerDeletion: true;
}

/** The template that pods are to have. */
export interface PlannedTemplate extends RecordedTemplate {
  readonly hash: string;
  /** That of its broker container. */
  readonly image: string;
}

/**
 * Of a template where neither spec nor record says it. Like a new default image, pulling and user
 * restart nobody: both sides of a comparison are rendered with them.
 */
export interface TemplateDefaults
  extends Pick<PodTemplate, 'imagePullPolicy' | 'imagePullSecrets'> {
  /** Absent: those of a cluster that is made now. */
  readonly resources?: Resources;
  /** As whom pods run; absent: the user of the image. */
  readonly user?: PodUser;
}

/** What stands on a StatefulSet that exists, as {@link readRecord} reads it. */
export interface WorkloadRecord {
  readonly template: RecordedTemplate | null;
  /**
   * Size in its volume claim template, which Kubernetes lets nobody change; claims are grown one by
   * one.
   */
  readonly claimSize: string;
}

/**
 * Keeps the recorded template as long as no field of the spec that shapes a pod has changed. A new
 * template without an image in the spec keeps the image of the recorded one: only a person upgrades
 * brokers. So it is with resources: a limit that a newer operator would set could end brokers that
 * have lived without one.
 *
 * @param imageDefault where neither spec nor record names one
 * @param clusterId that a new template gives to brokers
 * @param defaults of a new template where the spec does not say
 * @param internalTls how far brokers are to be from plaintext to TLS; absent: as recorded
 */
export function planTemplate(
  cluster: LogCluster,
  recorded: RecordedTemplate | null,
  imageDefault: string,
  clusterId = cluster.spec.clusterId ?? cluster.metadata.uid,
  { resources = DEFAULT_RESOURCES, user, ...pull }: TemplateDefaults = {},
  internalTls: TlsPhase = recorded === null ? 'Require' : tlsPhaseOf(recorded.template),
): PlannedTemplate {
  const imageBefore = recorded === null ? imageDefault : imageOf(recorded.template);
  const resourcesBefore = recorded === null ? resources : (resourcesOf(recorded.template) ?? {});
  const render = (spec: LogClusterSpec): PodTemplateSpec =>
    buildPodTemplate(
      {
        ...cluster,
        spec: {
          ...spec,
          resources: spec.resources ?? resourcesBefore,
          podTemplate: { ...pull, ...spec.podTemplate },
        },
      },
      spec.image ?? imageBefore,
      clusterId,
      internalTls,
      user,
    );
  const isKept =
    recorded !== null &&
    tlsPhaseOf(recorded.template) === internalTls &&
    isMadeFrom(recorded.inputs, cluster.spec, render);
  const kept = isKept ? recorded : null;
  const inputs = kept?.inputs ?? templateInputs(cluster.spec);
  return planned({ inputs, template: kept?.template ?? render(cluster.spec) });
}

/** A recorded template as one that is planned. */
export function planned({ template, inputs }: RecordedTemplate): PlannedTemplate {
  return { template, inputs, hash: templateHash(template), image: imageOf(template) };
}

/** Image of the first container, which is the broker's. */
export function imageOf(template: PodTemplateSpec): string {
  const [container] = template.spec['containers'] as readonly { readonly image: string }[];
  return container?.image ?? '';
}

/** Resources of a broker's container, in a template or a pod; undefined: there is no such one. */
export function resourcesOf(pod: object): Resources | undefined {
  const { containers = [] } = ((pod as { readonly spec?: object }).spec ?? {}) as {
    readonly containers?: readonly { readonly name?: string; readonly resources?: Resources }[];
  };
  const container = containers.find(({ name }) => name === BROKER_CONTAINER);
  return container === undefined ? undefined : (container.resources ?? {});
}

/**
 * @param replicas pods to run, which during a scale-down is more than the spec wants
 * @param record of the StatefulSet that exists, or null
 */
export function buildStatefulSet(
  cluster: LogCluster,
  replicas: number,
  { template, hash, inputs }: PlannedTemplate,
  record: WorkloadRecord | null,
): Manifest {
  const { name } = cluster.metadata;
  const { storage } = cluster.spec;
  const metadata = {
    ...template.metadata,
    labels: { ...template.metadata.labels, [TEMPLATE_HASH_LABEL]: hash },
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: {
      ...objectMetadata(cluster, name),
      annotations: {
        [TEMPLATE_ANNOTATION]: canonicalJson(template),
        [TEMPLATE_INPUTS_ANNOTATION]: inputs,
      },
    },
    spec: {
      replicas,
      serviceName: brokersServiceName(name),
      selector: { matchLabels: selectorLabels(name) },
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' },
      persistentVolumeClaimRetentionPolicy: {
        whenDeleted: storage.whenDeleted,
        // Whoever lowers the replicas of a StatefulSet would take records with it: only the
        // operator knows which volume is empty, and deletes it (scale.ts).
        whenScaled: 'Retain',
      },
      template: { ...template, metadata },
      volumeClaimTemplates: [claimTemplate(cluster, record?.claimSize ?? storage.size)],
    },
  };
}

function claimTemplate(cluster: LogCluster, size: string): Record<string, unknown> {
  const { metadata, spec } = cluster;
  const { storageClassName } = spec.storage;
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: DATA_VOLUME, labels: selectorLabels(metadata.name) },
    spec: {
      accessModes: ['ReadWriteOnce'],
      ...(storageClassName === undefined ? {} : { storageClassName }),
      resources: { requests: { storage: size } },
    },
  };
}

/**
 * Metadata of an object that belongs to a cluster and goes with it.
 *
 * @param overlay of the spec; it takes no key of the operator's own
 */
export function objectMetadata(
  cluster: LogCluster,
  name: string,
  { labels, annotations }: ObjectOverlay = {},
): Manifest['metadata'] {
  return {
    name,
    namespace: cluster.metadata.namespace,
    labels: { ...labels, ...objectLabels(cluster.metadata.name) },
    ...(annotations === undefined ? {} : { annotations }),
    ownerReferences: [
      {
        apiVersion: GROUP_VERSION,
        kind: 'LogCluster',
        name: cluster.metadata.name,
        uid: cluster.metadata.uid,
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
  };
}

/**
 * Record of a StatefulSet that the API server holds; its template is null where somebody took or
 * changed the annotations.
 */
export function readRecord(existing: KubeObject, cluster: LogCluster): WorkloadRecord {
  const { annotations = {} } = existing.metadata;
  const { volumeClaimTemplates = [] } = (existing['spec'] ?? {}) as {
    readonly volumeClaimTemplates?: readonly {
      readonly spec: { readonly resources?: { readonly requests?: { readonly storage?: string } } };
    }[];
  };
  const [claim] = volumeClaimTemplates;
  const inputs = annotations[TEMPLATE_INPUTS_ANNOTATION];
  const template = parseTemplate(annotations[TEMPLATE_ANNOTATION] ?? '');
  return {
    template: inputs === undefined || template === null ? null : { template, inputs },
    claimSize: claim?.spec.resources?.requests?.storage ?? cluster.spec.storage.size,
  };
}

function parseTemplate(text: string): PodTemplateSpec | null {
  try {
    const parsed = JSON.parse(text) as Partial<PodTemplateSpec> | null;
    const isTemplate = parsed?.metadata?.labels !== undefined && parsed.spec !== undefined;
    return isTemplate && Array.isArray(parsed.spec['containers'])
      ? (parsed as PodTemplateSpec)
      : null;
  } catch {
    return null;
  }
}
