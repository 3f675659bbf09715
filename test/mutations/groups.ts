/** Of consumer groups. */
import { type Catcher, type Mutation, seedsTo } from './types.ts';

const RULE = 'docs/rules.md#groups';
const FOLDER = 'broker/groups/membership';
const RECONCILE = `${FOLDER}/reconcile.ts`;
const CORE = `${FOLDER}/membership.ts`;
const CHANGES = `${FOLDER}/changes.ts`;
const DRAFT = `${FOLDER}/draft.ts`;
const TARGETS = `${FOLDER}/targets.ts`;
const VERDICT = `${FOLDER}/verdict.ts`;

const UNIT = 'test/unit/broker/groups/membership';
const ASSIGNS: Catcher = { level: 'unit', file: `${UNIT}/assignors.test.ts` };
const STEPS: Catcher = { level: 'unit', file: `${UNIT}/membership.test.ts` };
const DRIVER = 'broker/runtime/groups/members-driver.ts';
const GROUPS_HOST = 'broker/runtime/groups/groups-host.ts';
const PROXY = 'broker/service/consume/member-proxy.ts';
const CONSUME = 'broker/service/consume/consume-session.ts';
const HOST: Catcher = {
  level: 'unit',
  file: 'test/unit/broker/runtime/groups/groups-host.test.ts',
};
const SESSION: Catcher = {
  level: 'unit',
  file: 'test/unit/broker/service/consume/consume-session.test.ts',
};
const seeds = (last: number): Catcher => ({ simulator: 'groups', seeds: seedsTo(last) });

export const GROUPS: readonly Mutation[] = [
  {
    id: 'given-on-before-let-go',
    rule: RULE,
    what: 'a partition is given to another while its holder has it',
    edits: [
      {
        file: RECONCILE,
        find: 'holders?.has(key) !== true && !claimed.has(key)',
        replace: '!claimed.has(key)',
      },
    ],
    caughtBy: [seeds(3)],
    inGate: true,
  },
  {
    id: 'let-go-without-a-word',
    rule: RULE,
    what: 'a partition is free as soon as its holder is told to let it go',
    edits: [
      {
        file: RECONCILE,
        find: 'else if (sinceEpoch <= applied) released.push(key);',
        replace: 'else released.push(key);',
      },
    ],
    caughtBy: [seeds(20)],
    inGate: true,
  },
  {
    id: 'views-of-the-future',
    rule: RULE,
    what: 'a member may state the epoch of a view that it was never given',
    edits: [{ file: CORE, find: ' || epoch > member.epoch) {', replace: ') {' }],
    caughtBy: [STEPS],
  },
  {
    id: 'anybody-says-that-members-leave',
    rule: RULE,
    what: 'a member leaves by a broker that it is not attached to',
    edits: [{ file: CHANGES, find: 'if (member.proxy !== proxy)', replace: 'if (proxy < 0)' }],
    caughtBy: [STEPS],
  },
  {
    id: 'older-processes-take-places-back',
    rule: RULE,
    what: 'a process that was fenced takes its place from the newer one that has it',
    edits: [{ file: CHANGES, find: '&& holderId !== formerId', replace: '&& holderId === ""' }],
    caughtBy: [STEPS],
  },
  {
    id: 'asked-again-without-a-session',
    rule: RULE,
    what: 'an attempt that is answered again delivers longer than its session lasts',
    edits: [
      {
        file: CORE,
        find: '    this.#sessions.renew(group, memberId, member.sessionMs, 0);\n    this.#reply',
        replace: '    this.#reply',
      },
    ],
    caughtBy: [STEPS],
  },
  {
    id: 'refused-signs-let-deliver',
    rule: RULE,
    what: 'a heartbeat lets deliver to members that it does not count for',
    edits: [{ file: PROXY, find: 'if (reason !== undefined)', replace: 'if (at < 0 && reason)' }],
    caughtBy: [SESSION],
  },
  {
    id: 'older-attachments-commit',
    rule: RULE,
    what: 'what comes of an older attachment of a member commits',
    edits: [
      {
        file: VERDICT,
        find: 'if (claim.attachment !== member.attachment)',
        replace: 'if (claim.attachment > member.attachment)',
      },
    ],
    caughtBy: [seeds(20)],
  },
  {
    id: 'commits-of-an-earlier-life',
    rule: RULE,
    what: 'a member commits what it read before others had the partition',
    edits: [
      {
        file: VERDICT,
        find: 'return claim.epoch >= given && claim.epoch <= member.epoch',
        replace: 'return claim.epoch <= member.epoch',
      },
    ],
    caughtBy: [seeds(20)],
    inGate: true,
  },
  {
    id: 'told-before-committed',
    rule: RULE,
    what: 'a member is told what is not committed yet',
    edits: [
      {
        file: CORE,
        find: '    const records = draft.records();\n',
        replace:
          '    for (const { requestId, reply } of answers) this.#reply(requestId, reply);\n    const records = draft.records();\n',
      },
    ],
    caughtBy: [seeds(3)],
    inGate: true,
  },
  {
    id: 'unheard-coordinators-answer',
    rule: RULE,
    what: 'a coordinator answers that the controller does not hear',
    edits: [
      {
        file: CORE,
        find: 'return this.#isHeard && !this.#isOver;',
        replace: 'return !this.#isOver;',
      },
    ],
    caughtBy: [seeds(3)],
    inGate: true,
  },
  {
    id: 'batches-of-another-leadership',
    rule: RULE,
    what: 'the fate of a batch of another leadership counts for the present one',
    edits: [
      {
        file: CORE,
        find: 'return epoch === this.#options.epoch && batchId',
        replace: 'return batchId',
      },
    ],
    caughtBy: [seeds(20)],
  },
  {
    id: 'attaching-interrupts',
    rule: RULE,
    what: 'whoever attaches elsewhere is given its partitions anew',
    edits: [
      {
        file: CHANGES,
        find: '    ...statedBy(request),\n',
        replace: '    ...statedBy(request),\n    held: new Map(),\n',
      },
    ],
    caughtBy: [seeds(3)],
  },
  {
    id: 'epochs-stand-still',
    rule: RULE,
    what: 'a batch does not raise the epoch of its group',
    edits: [
      {
        file: DRAFT,
        find: '    this.putGroup(name, { ...value, epoch: value.epoch + 1 });\n    return value.epoch + 1;',
        replace: '    return value.epoch;',
      },
    ],
    caughtBy: [seeds(3)],
  },
  {
    id: 'two-of-one-instance',
    rule: RULE,
    what: 'the older of two processes with one instance id stays',
    edits: [{ file: CHANGES, find: '    draft.putMember(group, beforeId, null);\n', replace: '' }],
    caughtBy: [seeds(3)],
  },
  {
    id: 'topics-that-grow-are-not-seen',
    rule: RULE,
    what: 'added partitions and topics made anew are given to nobody until a member comes or goes',
    edits: [
      {
        file: TARGETS,
        find: '    draft.change(group);\n    return true;',
        replace: '    return false;',
      },
    ],
    caughtBy: [seeds(20)],
    inGate: true,
  },
  {
    id: 'older-topics-than-before',
    rule: RULE,
    what: 'a new coordinator goes by topics that are older than those of the one before',
    edits: [
      { file: TARGETS, find: ' || topics.metadataIndex < value.metadataIndex)', replace: ')' },
    ],
    caughtBy: [seeds(20)],
  },
  {
    id: 'half-a-target',
    rule: RULE,
    what: 'a target that had no room in one batch is not written to its end',
    edits: [
      {
        file: TARGETS,
        find: 'if (draft.isFull) return false;',
        replace: 'if (draft.isFull) break;',
      },
    ],
    caughtBy: [seeds(20)],
  },
  {
    id: 'plans-of-lost-batches',
    rule: RULE,
    what: 'what was worked out for a batch that was lost serves for the next',
    edits: [{ file: TARGETS, find: 'this.#plans.clear();', replace: 'this.#plans.size;' }],
    caughtBy: [STEPS],
  },
  {
    id: 'revocations-lose-their-epoch',
    rule: RULE,
    what: 'the record of a member does not say since when it shall let a partition go',
    edits: [
      {
        file: `${FOLDER}/records.ts`,
        find: 'return `${epoch},${sinceEpoch}`;',
        replace: 'return `${epoch},${epoch + 0 * sinceEpoch}`;',
      },
    ],
    caughtBy: [seeds(20)],
  },
  {
    id: 'sessions-forget-the-former',
    rule: RULE,
    what: 'a new coordinator gives no time to members whom the one before answered last',
    edits: [
      {
        file: `${FOLDER}/sessions.ts`,
        find: 'this.#nowMs + lastsMs + longerMs',
        replace: 'this.#nowMs + lastsMs + 0 * longerMs',
      },
    ],
    caughtBy: [STEPS],
  },
  {
    id: 'strangers-speak-for-members',
    rule: RULE,
    what: 'a broker that a member is not attached to may say that its stream broke',
    edits: [
      {
        file: CORE,
        find: 'member?.attachment === attachment && member.proxy === proxy ? member : null',
        replace: 'member?.attachment === attachment && proxy >= 0 ? member : null',
      },
    ],
    caughtBy: [STEPS],
  },
  {
    id: 'pauses-count',
    rule: RULE,
    what: 'a coordinator that slept ends the sessions of all who could not reach it',
    edits: [
      {
        file: `${FOLDER}/sessions.ts`,
        find: 'session.deadlineMs += sleptMs;',
        replace: 'session.deadlineMs += 0 * sleptMs;',
      },
    ],
    caughtBy: [STEPS],
  },
  {
    id: 'nothing-is-kept',
    rule: RULE,
    what: 'a new target does not begin from the last one',
    edits: [
      {
        file: `${FOLDER}/assignors/balanced.ts`,
        find: '      give(spread, share, owner);\n    }\n}\n\n/** Topics',
        replace: '    }\n}\n\n/** Topics',
      },
    ],
    caughtBy: [ASSIGNS],
  },
  {
    id: 'members-of-another-leadership',
    rule: RULE,
    what: 'a change of members that waited is written in the next leadership of its broker',
    edits: [
      { file: DRIVER, find: 'if (this.#coordinator.epoch !== epoch)', replace: 'if (epoch < 0)' },
    ],
    caughtBy: [HOST],
  },
  {
    id: 'strangers-commit',
    rule: RULE,
    what: 'nobody asks whether who commits holds the partition',
    edits: [
      { file: GROUPS_HOST, find: 'if (refusal !== null) throw refusal;', replace: 'void refusal;' },
    ],
    caughtBy: [HOST, SESSION],
  },
  {
    id: 'seeks-leave-holders-alone',
    rule: RULE,
    what: 'who holds a partition is not given it anew when its cursor is moved',
    edits: [
      {
        file: GROUPS_HOST,
        find: 'if (membersOf(coordinator.image(), group) === 0)',
        replace: 'if (membersOf(coordinator.image(), group) >= 0)',
      },
      {
        file: GROUPS_HOST,
        find: 'if (membersOf(image, group) > 0)\n          throw',
        replace: 'if (membersOf(image, group) < 0)\n          throw',
      },
    ],
    caughtBy: [HOST, SESSION],
  },
  {
    id: 'members-are-no-use',
    rule: RULE,
    what: 'a group with members is forgotten when nobody else uses it',
    edits: [
      {
        file: 'broker/runtime/groups/upkeep.ts',
        find: 'return (membership.groups.get(group)?.members.size ?? 0) > 0;',
        replace: 'return (membership.groups.get(group)?.members.size ?? 0) < 0;',
      },
    ],
    caughtBy: [HOST],
  },
  {
    id: 'added-partitions-begin-anywhere',
    rule: RULE,
    what: 'a partition that was added begins where a topic would be begun',
    edits: [
      {
        file: 'broker/groups/cursors.ts',
        find: 'known.has(place.topicId) ? earliest : first',
        replace: 'known.has(place.topicId) ? first : first',
      },
    ],
    caughtBy: [HOST],
  },
  {
    id: 'proxies-deliver-for-ever',
    rule: RULE,
    what: 'a proxy that its coordinator does not answer goes on delivering',
    edits: [{ file: PROXY, find: 'const DELIVERS = 2 / 3;', replace: 'const DELIVERS = 200 / 3;' }],
    caughtBy: [SESSION],
  },
  {
    id: 'let-go-while-handled',
    rule: RULE,
    what: 'a proxy states a view while records of what it takes are being handled',
    edits: [
      {
        file: CONSUME,
        find: 'if (leaving.get(key) === epoch && isOpen)',
        replace: 'if (leaving.get(key) === -1 && isOpen)',
      },
    ],
    caughtBy: [SESSION],
  },
  {
    id: 'stops-break-streams',
    rule: RULE,
    what: 'a broker that stops says of its members that their streams broke',
    edits: [
      {
        file: PROXY,
        find: 'if (this.#isStopping || this.#isClosed) return;\n    const proxy',
        replace: 'if (this.#isClosed) return;\n    const proxy',
      },
    ],
    caughtBy: [SESSION],
  },
];
