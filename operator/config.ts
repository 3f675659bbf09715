/**
 * Options of the operator, all from the environment, as the chart sets them. Every fault is
 * reported at once; nothing is repaired.
 */

import { printable } from '../base/printable.ts';
import { PORT_MAX } from '../base/limits.ts';
import { LOG_LEVELS, type LogLevel } from '../base/broker-options.ts';

const LABEL = '[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?';
const LABEL_TERM = `(!?${LABEL}|${LABEL} *(=|==|!=) *(${LABEL})?|${LABEL} +(in|notin) +\\(${LABEL}( *, *${LABEL})*\\))`;
const LABEL_SELECTOR = new RegExp(`^(${LABEL_TERM}( *, *${LABEL_TERM})*)?$`);
const BROKER_USERS = ['image', 'platform'] as const;
const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'] as const;

export type BrokerUser = (typeof BROKER_USERS)[number];

export interface OperatorConfig {
  /** This copy, among those that may lead. */
  readonly podName: string;
  /** Of the lease. */
  readonly podNamespace: string;
  /** Namespaces that are watched; empty: all. */
  readonly namespaces: readonly string[];
  /** Label selector of the LogClusters that are looked after; empty: all. */
  readonly selector: string;
  readonly leaseName: string;
  /** Deployment that the lease goes with; null: none. */
  readonly deploymentName: string | null;
  /** Image of brokers whose LogCluster names none. */
  readonly brokerImage: string;
  /** How it is pulled where a LogCluster does not say. */
  readonly brokerPull: {
    readonly imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never';
    readonly imagePullSecrets?: readonly { readonly name: string }[];
  };
  /** As whom new pods of brokers run: the user of the image, or whom the platform gives them. */
  readonly brokerUser: BrokerUser;
  /** May nodes and volumes be read? */
  readonly canReadNodes: boolean;
  /** Makes NetworkPolicies for LogClusters. */
  readonly makesPolicies: boolean;
  readonly httpPort: number;
  readonly logLevel: LogLevel;
  /**
   * API server behind a plain HTTP address (`kubectl proxy`); absent: the service account, then a
   * kubeconfig.
   */
  readonly apiServer: string | undefined;
  readonly serviceHost: string | undefined;
  readonly servicePort: string | undefined;
  /** For tests: die before this many actions plus one; null: never. */
  readonly exitBeforeAction: number | null;
}

/** Faults of the environment, one line each. */
export class OperatorConfigError extends Error {
  override readonly name = 'OperatorConfigError';
}

/** @throws OperatorConfigError that names every fault: variable, value and what is allowed */
export function readOperatorConfig(
  environment: Readonly<Record<string, string | undefined>>,
): OperatorConfig {
  const faults: string[] = [];
  const text = (name: string, fallback?: string): string => {
    const value = environment[name] ?? fallback;
    if (value === undefined || value === '') faults.push(`${name} is absent, must be set`);
    return value ?? '';
  };
  const whole = (name: string, fallback: number, max: number): number => {
    const value = environment[name] ?? '';
    if (value === '') return fallback;
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (!(number <= max))
      faults.push(`${name} is "${value}", must be a whole number from 0 to ${max}`);
    return number;
  };
  const choice = <T extends string>(name: string, allowed: readonly T[], fallback: T): T => {
    const given = environment[name] ?? fallback;
    const chosen = allowed.find((value) => value === given);
    if (chosen === undefined)
      faults.push(`${name} is "${given}", must be one of ${allowed.join(', ')}`);
    return chosen ?? fallback;
  };
  const listed = (name: string): string[] =>
    (environment[name] ?? '')
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  const selector = environment['TIDEMARK_SELECTOR'] ?? '';
  if (!LABEL_SELECTOR.test(selector))
    faults.push(
      `TIDEMARK_SELECTOR is "${selector}", must be a label selector such as team=blue or team in (blue, red)`,
    );
  const deploymentName = environment['TIDEMARK_DEPLOYMENT'] ?? '';
  const pullSecrets = listed('TIDEMARK_BROKER_PULL_SECRETS');
  const config: OperatorConfig = {
    podName: text('POD_NAME', environment['HOSTNAME']),
    podNamespace: text('POD_NAMESPACE'),
    namespaces: listed('TIDEMARK_NAMESPACES'),
    selector,
    deploymentName: deploymentName === '' ? null : deploymentName,
    leaseName: text('TIDEMARK_LEASE_NAME', 'tidemark-operator'),
    brokerImage: text('TIDEMARK_BROKER_IMAGE'),
    brokerPull: {
      ...((environment['TIDEMARK_BROKER_PULL_POLICY'] ?? '') === ''
        ? {}
        : {
            imagePullPolicy: choice('TIDEMARK_BROKER_PULL_POLICY', PULL_POLICIES, 'IfNotPresent'),
          }),
      ...(pullSecrets.length === 0
        ? {}
        : { imagePullSecrets: pullSecrets.map((name) => ({ name })) }),
    },
    brokerUser: choice('TIDEMARK_BROKER_USER', BROKER_USERS, 'image'),
    canReadNodes: choice('TIDEMARK_READ_NODES', ['true', 'false'], 'false') === 'true',
    makesPolicies: choice('TIDEMARK_NETWORK_POLICIES', ['true', 'false'], 'false') === 'true',
    httpPort: whole('TIDEMARK_HTTP_PORT', 9643, PORT_MAX),
    logLevel: choice('TIDEMARK_LOG_LEVEL', LOG_LEVELS, 'info'),
    apiServer: environment['TIDEMARK_API_SERVER'],
    serviceHost: environment['KUBERNETES_SERVICE_HOST'],
    servicePort: environment['KUBERNETES_SERVICE_PORT'],
    exitBeforeAction:
      environment['TIDEMARK_TEST_EXIT_BEFORE_ACTION'] === undefined
        ? null
        : whole('TIDEMARK_TEST_EXIT_BEFORE_ACTION', 0, Number.MAX_SAFE_INTEGER),
  };
  if (faults.length > 0) throw new OperatorConfigError(faults.map(printable).join('\n'));
  return config;
}
