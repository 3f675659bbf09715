/** Settings of the cluster as a person sees and sets them. */
import type { DescribeBrokerResponse } from '../../../proto/gen/tidemark/v1/admin.ts';
import { OptionSource } from '../../../proto/gen/tidemark/v1/options.ts';
import type { Admin } from '../../admin.ts';
import type { CommitMode, TopicDefaults } from '../../admin-types.ts';
import { type CommonOptions, withCluster } from '../context.ts';
import { CliError } from '../exit.ts';
import type { Cell, Surroundings } from '../output.ts';

export interface ConfigOptions extends CommonOptions {
  readonly set?: Readonly<Record<string, string>>;
  readonly unset?: readonly string[];
  readonly broker?: number;
}

export interface DefaultsOptions extends CommonOptions {
  readonly replicationFactor?: number;
  readonly min?: number;
  readonly commitMode?: CommitMode;
}

/** Where an option's value comes from, as a word. */
export function sourceWord(source: OptionSource): string {
  return SOURCES[source] ?? 'unknown';
}

const SOURCES: Readonly<Partial<Record<OptionSource, string>>> = {
  [OptionSource.OPTION_SOURCE_DEFAULT]: 'default',
  [OptionSource.OPTION_SOURCE_ENVIRONMENT]: 'environment',
  [OptionSource.OPTION_SOURCE_FLAG]: 'flag',
  [OptionSource.OPTION_SOURCE_CLUSTER]: 'cluster',
};

export async function config(options: ConfigOptions, around: Surroundings): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    const admin = client.admin();
    const { set = {}, unset = [] } = options;
    const brokerOptions = { ...Object.fromEntries(unset.map((name) => [name, ''])), ...set };
    if (unset.length > 0) await checkKnown(admin, unset, options.broker);
    if (Object.keys(brokerOptions).length > 0) await admin.setClusterSettings({ brokerOptions });
    const { reports, silent } = await reportsOf(admin, options.broker);
    if (silent.length > 0)
      out.note(`Not in service, so nobody knows their options: brokers ${silent.join(', ')}`);
    const shown = reports.map((report) => ({
      brokerId: report.brokerId,
      options: report.options.map(({ source, ...option }) => ({
        ...option,
        source: sourceWord(source),
      })),
    }));
    const rows = shown.flatMap(({ brokerId, options: each }) =>
      each.map(({ name, value, source, live }): Cell[] => [
        name,
        brokerId,
        value,
        source,
        live ? 'live' : 'restart',
      ]),
    );
    rows.sort((left, right) =>
      String(left[0]) < String(right[0]) ? -1 : left[0] === right[0] ? 0 : 1,
    );
    out.result(shown, () => out.table(['OPTION', 'BROKER', 'VALUE', 'FROM', 'CHANGE'], rows));
  });
}

/** What brokers in service say of themselves, or the one that was asked for. */
async function reportsOf(
  admin: Admin,
  broker: number | undefined,
): Promise<{ readonly reports: DescribeBrokerResponse[]; readonly silent: number[] }> {
  if (broker !== undefined) return { reports: [await admin.describeBroker(broker)], silent: [] };
  const { brokers } = await admin.describeCluster();
  const inService = brokers.filter(({ fenced }) => !fenced);
  const reports = await Promise.all(
    inService.map(({ brokerId }) => admin.describeBroker(brokerId)),
  );
  const silent = brokers.filter(({ fenced }) => fenced).map(({ brokerId }) => brokerId);
  return { reports, silent };
}

/**
 * Taking back what was never set changes nothing; a name that no broker knows is a slip of the pen.
 */
async function checkKnown(
  admin: Admin,
  names: readonly string[],
  broker: number | undefined,
): Promise<void> {
  const { reports } = await reportsOf(admin, broker);
  const known = new Set(reports.flatMap(({ options }) => options.map(({ name }) => name)));
  const wrong = names.find((name) => !known.has(name));
  if (wrong !== undefined)
    throw new CliError('INVALID_ARGUMENT', `--unset is "${wrong}": no broker has such an option`);
}

export async function defaults(options: DefaultsOptions, around: Surroundings): Promise<void> {
  await withCluster(options, around, async (client, { out }) => {
    const admin = client.admin();
    const { replicationFactor, min, commitMode } = options;
    const isChange = [replicationFactor, min, commitMode].some((each) => each !== undefined);
    const topicDefaults = { replicationFactor, minInSyncReplicas: min, commitMode };
    const settings = isChange
      ? await admin.setClusterSettings({ topicDefaults })
      : (await admin.describeCluster()).settings;
    const now = settings?.topicDefaults;
    out.result(
      {
        replicationFactor: now?.replicationFactor,
        minInSyncReplicas: now?.minInSyncReplicas,
        commitMode: now?.commitMode,
      },
      () => out.line(defaultsText(now)),
    );
  });
}

/** What new topics have, in words. */
export function defaultsText(now: TopicDefaults | undefined): string {
  const parts = [
    now?.replicationFactor === undefined ? [] : [`${now.replicationFactor} replicas`],
    now?.minInSyncReplicas === undefined ? [] : [`min ${now.minInSyncReplicas}`],
    now?.commitMode === undefined ? [] : [`commit mode ${now.commitMode}`],
  ].flat();
  return parts.length === 0
    ? "New topics have the brokers' own defaults"
    : `New topics have ${parts.join(', ')} unless their creator says otherwise`;
}
