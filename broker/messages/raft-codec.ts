/**
 * Raft messages between the core's values and protobuf. Total both ways; what arrives is checked
 * field by field.
 */
import { assertNever } from '../../base/assert.ts';
import type { Entry, MessageBody, Peer, RaftMessage } from '../raft/types.ts';
import {
  EntryKind,
  type ExchangeRequest,
  type Entry as EntryMessage,
  type Peer as PeerMessage,
} from '../../proto/gen/tidemark/internal/v1/quorum.ts';
import { presentField, refuse, uuidField } from './fields.ts';
import { brokerIdField } from './topics.ts';

/** A raft message with both ends. */
export interface Exchange {
  readonly from: Peer;
  readonly to: Peer;
  readonly message: RaftMessage;
}

type Body = NonNullable<ExchangeRequest['body']>;

const ENTRY_KINDS = {
  data: EntryKind.ENTRY_KIND_DATA,
  voters: EntryKind.ENTRY_KIND_VOTERS,
  barrier: EntryKind.ENTRY_KIND_BARRIER,
} as const satisfies Record<Entry['kind'], EntryKind>;

/** As it travels. */
export function exchangeToMessage({ from, to, message }: Exchange): ExchangeRequest {
  const { term, incarnation, toIncarnation } = message;
  return {
    from: { ...from },
    to: { ...to },
    term,
    incarnation,
    toIncarnation,
    body: bodyToMessage(message),
  };
}

/** As the core takes it. Throws INVALID_ARGUMENT. */
export function exchangeFromMessage(message: ExchangeRequest): Exchange {
  const { term, incarnation, toIncarnation } = message;
  return {
    from: peerField('from', message.from),
    to: peerField('to', message.to),
    message: {
      term,
      incarnation,
      toIncarnation,
      ...bodyFromMessage(presentField('body', message.body)),
    },
  };
}

function bodyToMessage(body: MessageBody): Body {
  switch (body.kind) {
    case 'pre-vote':
      return {
        $case: 'preVote',
        value: {
          campaignTerm: body.campaignTerm,
          lastIndex: body.lastIndex,
          lastTerm: body.lastTerm,
        },
      };
    case 'pre-vote-reply':
      return {
        $case: 'preVoteReply',
        value: {
          campaignTerm: body.campaignTerm,
          granted: body.isGranted,
          leader: peerOrAbsent(body.leader),
        },
      };
    case 'vote':
      return {
        $case: 'vote',
        value: { lastIndex: body.lastIndex, lastTerm: body.lastTerm, transfer: body.isTransfer },
      };
    case 'vote-reply':
      return { $case: 'voteReply', value: { granted: body.isGranted } };
    case 'append': {
      const { prevIndex, prevTerm, commitIndex, round } = body;
      return {
        $case: 'append',
        value: {
          prevIndex,
          prevTerm,
          commitIndex,
          round,
          entries: body.entries.map(entryToMessage),
        },
      };
    }
    case 'append-accepted':
      return { $case: 'appendAccepted', value: { matchIndex: body.matchIndex, round: body.round } };
    case 'append-rejected': {
      const { rejectedIndex, hintIndex, hintTerm, lastIndex, round } = body;
      return {
        $case: 'appendRejected',
        value: { rejectedIndex, hintIndex, hintTerm, lastIndex, round },
      };
    }
    case 'snapshot': {
      const { snapshotIndex, snapshotTerm, offset, total, chunk } = body;
      const voters = body.voters.map((peer) => ({ ...peer }));
      return {
        $case: 'snapshot',
        value: { snapshotIndex, snapshotTerm, voters, offset, total, chunk },
      };
    }
    case 'snapshot-reply':
      return {
        $case: 'snapshotReply',
        value: { snapshotIndex: body.snapshotIndex, received: body.received },
      };
    case 'timeout-now':
      return { $case: 'timeoutNow', value: {} };
    case 'follow':
      return { $case: 'follow', value: { lastIndex: body.lastIndex, lastTerm: body.lastTerm } };
    case 'follow-reply':
      return { $case: 'followReply', value: { leader: peerOrAbsent(body.leader) } };
    default:
      return assertNever(body);
  }
}

function bodyFromMessage(body: Body): MessageBody {
  switch (body.$case) {
    case 'preVote':
      return { kind: 'pre-vote', ...body.value };
    case 'preVoteReply': {
      const { campaignTerm, granted, leader } = body.value;
      return {
        kind: 'pre-vote-reply',
        campaignTerm,
        isGranted: granted,
        leader: peerOrNull('leader', leader),
      };
    }
    case 'vote':
      return {
        kind: 'vote',
        lastIndex: body.value.lastIndex,
        lastTerm: body.value.lastTerm,
        isTransfer: body.value.transfer,
      };
    case 'voteReply':
      return { kind: 'vote-reply', isGranted: body.value.granted };
    case 'append':
      return { kind: 'append', ...body.value, entries: body.value.entries.map(entryFromMessage) };
    case 'appendAccepted':
      return { kind: 'append-accepted', ...body.value };
    case 'appendRejected':
      return { kind: 'append-rejected', ...body.value };
    case 'snapshot':
      return {
        kind: 'snapshot',
        ...body.value,
        voters: body.value.voters.map((peer, index) => peerField(`voters[${index}]`, peer)),
      };
    case 'snapshotReply':
      return { kind: 'snapshot-reply', ...body.value };
    case 'timeoutNow':
      return { kind: 'timeout-now' };
    case 'follow':
      return { kind: 'follow', ...body.value };
    case 'followReply':
      return { kind: 'follow-reply', leader: peerOrNull('leader', body.value.leader) };
    default:
      return assertNever(body);
  }
}

function entryToMessage({ index, term, kind, data }: Entry): EntryMessage {
  return { index, term, kind: ENTRY_KINDS[kind], data };
}

function entryFromMessage({ index, term, kind, data }: EntryMessage): Entry {
  const name = (Object.keys(ENTRY_KINDS) as Entry['kind'][]).find(
    (candidate) => ENTRY_KINDS[candidate] === kind,
  );
  return {
    index,
    term,
    kind: name ?? refuse('entries.kind', kind, 'ENTRY_KIND_DATA, _VOTERS or _BARRIER'),
    data,
  };
}

function peerField(field: string, peer: PeerMessage | undefined): Peer {
  const { brokerId, directoryId } = presentField(field, peer);
  return {
    brokerId: brokerIdField(`${field}.broker_id`, brokerId),
    directoryId: uuidField(`${field}.directory_id`, directoryId),
  };
}

function peerOrNull(field: string, peer: PeerMessage | undefined): Peer | null {
  return peer === undefined ? null : peerField(field, peer);
}

function peerOrAbsent(peer: Peer | null): PeerMessage | undefined {
  return peer === null ? undefined : { ...peer };
}
