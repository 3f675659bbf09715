/**
 * `tidemark why` on real brokers: each election, shrink and refusal shows with its reason, also
 * when the controller has changed since, and when the broker that is asked has not seen it.
 */
import { DECISIONS_TOPIC } from '../../base/kept-decisions.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command, ROOT } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';
import { join } from 'node:path';

interface Why {
  readonly summary: string;
  readonly refusal: string;
  readonly decisions: readonly {
    readonly index: number;
    readonly atMs?: number;
    readonly after: { readonly leader?: number; readonly syncSet: readonly number[] };
    readonly reasons: readonly { readonly text: string; readonly rule: string }[];
  }[];
  readonly missing: readonly { readonly brokerId: number }[];
}

describe('why', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start();
  });
  afterAll(() => cluster.close());

  async function why(topic: string): Promise<Why> {
    const args = ['client/cli/main.ts', 'why', `${topic}/0`, '--output', 'json'];
    const env = { TIDEMARK_SERVER: cluster.servers.join(',') };
    const [program = '', ...rest] = args;
    const ran = await command(process.execPath, [join(ROOT, program), ...rest], { env }).result;
    expect(ran, ran.stderr).toMatchObject({ code: 0 });
    return JSON.parse(ran.stdout.toString()) as Why;
  }

  /** Resolves once `why` holds a reason for which this is true, with all that it told. */
  function waitReason(topic: string, what: string, text: RegExp, rule: string): Promise<Why> {
    return cluster.wait(what, async (note) => {
      const told = await why(topic);
      note(told);
      const isThere = told.decisions.some(({ reasons }) =>
        reasons.some((reason) => text.test(reason.text) && reason.rule === rule),
      );
      return isThere ? told : undefined;
    });
  }

  it('tells each decision with its reason and rule, whoever controls', async () => {
    const controller = await cluster.controller();
    const [leader = 0, follower = 0] = cluster.others(controller).map(({ brokerId }) => brokerId);
    // The leader dies first, then the controller that saw it: two brokers have to know it still.
    const { name } = await cluster.createTopic({ assignments: [[leader, follower, controller]] });
    const made = await why(name);
    expect(made).toMatchObject({
      summary: `Broker ${leader}, the preferred leader, leads in leader epoch 1.`,
      refusal: '',
      missing: [],
    });
    expect(made.decisions[0]?.reasons[0]?.text).toMatch(/^the partition was made/);

    await cluster.broker(leader).kill();
    const elected = await waitReason(
      name,
      'the death of the leader',
      new RegExp(`^broker ${leader} is fenced: its process is gone`),
      'sync-set-and-q',
    );
    const election = elected.decisions.find(({ after }) => after.leader === follower);
    expect(election?.reasons.map(({ text }) => text)).toEqual([
      expect.stringMatching(`^broker ${leader} is fenced`) as string,
      expect.stringMatching(`^broker ${follower} leads: it is in the sync set`) as string,
      `broker ${leader} leaves the sync set, which can spare it`,
    ]);
    expect(election?.atMs).toBeGreaterThan(0);
    expect(elected.summary).toContain(`broker ${leader} is preferred: broker ${leader} is fenced`);
    expect(elected.missing.map(({ brokerId }) => brokerId)).toEqual([leader]);

    await cluster.restart(leader);
    await cluster.waitInSync(name);
    const rejoined = await waitReason(
      name,
      'the return',
      new RegExp(`^broker ${leader} joins the sync set`),
      'rule 13',
    );
    expect(rejoined.missing).toEqual([]);
    await cluster.lead(name, 0, leader);

    // The controller is a follower here: its death is a shrink, and the election of another one.
    await cluster.broker(controller).kill();
    const shrunk = await waitReason(
      name,
      'the death of a follower',
      new RegExp(`^broker ${controller} leaves the sync set, which can spare it`),
      'sync-set-and-q',
    );
    // What the dead controller decided is known, and all of it in the order of the log.
    expect(shrunk.decisions).toContainEqual(expect.objectContaining({ index: election?.index }));
    const indexes = shrunk.decisions.map(({ index }) => index);
    expect(indexes).toEqual(indexes.toSorted((a, b) => a - b));

    await cluster.restart(controller);
    await cluster.waitInSync(name);
  });

  it('tells after a restart of everything what is kept in the topic for it', async () => {
    await cluster.admin.createTopic({ name: DECISIONS_TOPIC, config: { minInSyncReplicas: 2 } });
    await cluster.waitInSync(DECISIONS_TOPIC);
    const [leader = 0, ...others] = cluster.brokers.map(({ brokerId }) => brokerId);
    const { name } = await cluster.createTopic({ assignments: [[leader, ...others]] });
    await cluster.broker(leader).kill();
    const rule = 'sync-set-and-q';
    const gone = new RegExp(`^broker ${leader} is fenced`);
    await waitReason(name, 'the death of the leader', gone, rule);
    await cluster.restart(leader);
    await cluster.waitInSync(name);
    await cluster.killAll();
    await cluster.restart(...cluster.brokers.map(({ brokerId }) => brokerId));
    await cluster.waitInSync(name);
    const told = await waitReason(name, 'what is kept', gone, rule);
    const election = told.decisions.find(({ reasons }) =>
      reasons.some(({ text }) => gone.test(text)),
    );
    // Of what lies in their logs brokers know no time: this one comes from the topic.
    expect(election?.atMs).toBeGreaterThan(0);
  });

  it('tells that appends are refused below the minimum, and taken again', async () => {
    const [first = 0, second = 0] = cluster.brokers.map(({ brokerId }) => brokerId);
    const { name } = await cluster.createTopic({
      assignments: [[first, second]],
      config: { minInSyncReplicas: 2 },
    });
    await cluster.broker(second).kill();
    const refused = await waitReason(name, 'the refusal', /^appends are refused: 1 /, 'rule 8');
    expect(refused.refusal).toMatch(
      new RegExp(`^Appends are refused: 1 of the 2 .*broker ${second} is fenced`),
    );
    expect(refused.decisions.flatMap(({ reasons }) => reasons)).toContainEqual({
      text: `broker ${second} stays in the sync set: without it q would fall below minInSyncReplicas`,
      rule: 'rule 16',
    });
    await cluster.restart(second);
    const taken = await waitReason(name, 'the end of it', /^appends are taken again: 2/, 'rule 8');
    expect(taken.refusal).toBe('');
  });
});
