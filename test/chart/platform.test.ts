/** As whom pods run: the user of the image, or whom a platform such as OpenShift gives them. */
import { loadAll } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { readOperatorConfig } from '../../operator/config.ts';
import { CHART, helm, missing, type Rendered, type Values } from './render.ts';

interface PodSpec {
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly containers: readonly {
    readonly env?: readonly { readonly name: string; readonly value?: string }[];
  }[];
}

/** Of the operator, the page and `helm test`. */
function pods(values: Values, apiVersions: readonly string[]): PodSpec[] {
  const given = apiVersions.map((version) => `--api-versions=${version}`);
  const all = { page: { enabled: true }, ...values };
  const { code, output } = helm(['template', 'tidemark', CHART, ...given], all);
  if (code !== 0) throw new Error(output);
  const rendered = loadAll(output).filter((each) => each !== null) as Rendered[];
  return rendered.flatMap(({ kind, spec }) => {
    if (kind === 'Pod') return [spec as unknown as PodSpec];
    if (kind !== 'Deployment') return [];
    return [(spec?.['template'] as { readonly spec: PodSpec }).spec];
  });
}

describe.skipIf(missing !== undefined)('as whom pods run', () => {
  const image = { runAsUser: 1000, runAsGroup: 1000 };
  it.each([
    { podUser: 'auto', apis: [], user: image },
    { podUser: 'auto', apis: ['security.openshift.io/v1'], user: {} },
    { podUser: 'image', apis: ['security.openshift.io/v1'], user: image },
    { podUser: 'platform', apis: [], user: {} },
  ])('podUser $podUser with $apis', ({ podUser, apis, user }) => {
    const found = pods({ podUser }, apis);
    expect(found).toHaveLength(3);
    for (const { securityContext } of found)
      expect(securityContext).toEqual({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
        ...user,
      });
    const environments = found.map(({ containers }) =>
      Object.fromEntries((containers[0]?.env ?? []).map(({ name, value = 'x' }) => [name, value])),
    );
    const operator = environments.find((each) => each['TIDEMARK_BROKER_USER'] !== undefined)!;
    const { brokerUser } = readOperatorConfig(operator);
    expect(brokerUser).toBe(user === image ? 'image' : 'platform');
  });
});
