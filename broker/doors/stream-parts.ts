/**
 * The parts of a stream's messages, each judged by the topic that it names: those that are refused
 * are answered here, and the handler sees the others. What is read on and on is judged again when
 * rules change; what is written is judged anew with each message.
 */
import type { BrokerError } from '../../base/errors.ts';
import type { AccessOperation } from '../../base/access.ts';
import type { MethodAccess } from '../access/methods.ts';
import type { Rights } from '../access/rules.ts';
import { topicIdField } from '../messages/fields.ts';
import type { MetadataImage } from '../metadata/types.ts';
import { partRefused, type StreamPart } from './answers.ts';

interface PartsCall {
  on(event: string, listener: (...values: unknown[]) => void): unknown;
  write?(message: unknown): boolean;
}

export interface PartsPorts {
  readonly rights: () => Rights;
  readonly image: () => MetadataImage;
  /** Told, and made an error. */
  readonly denied: (reason: string) => BrokerError;
  readonly isOver: () => boolean;
}

type Message = Readonly<Record<string, unknown>>;

export class Parts {
  readonly #call: PartsCall;
  readonly #operation: AccessOperation;
  readonly #field: string;
  readonly #ports: PartsPorts;
  /** What is read, by topic and partition. The handler bounds it: it ends who asks for more. */
  readonly #standing = new Map<string, StreamPart>();
  /** By topic id, under the rules of `#access`. */
  readonly #verdicts = new Map<string, string | null>();
  #access: MetadataImage['access'] | null = null;
  #hand: (message: unknown) => void = () => {};

  /** Stands between the call and every listener for its messages that is added from now on. */
  constructor(call: PartsCall, { operation, reach }: MethodAccess, ports: PartsPorts) {
    this.#call = call;
    this.#operation = operation;
    this.#field = reach.of === 'topic-ids' ? reach.field : '';
    this.#ports = ports;
    const on = call.on.bind(call);
    call.on = (event, listener) => {
      if (event !== 'data') return on(event, listener);
      this.#hand = listener;
      return on(event, (message) => {
        // After its end a stream hands nothing on.
        if (!ports.isOver()) listener(this.#sift(message as Message));
      });
    };
  }

  /** Takes away what may be read no more. */
  lookAgain(): void {
    for (const [key, part] of this.#standing) {
      const reason = this.#refusalOf(part);
      if (reason === null) continue;
      this.#standing.delete(key);
      const { topicId, partition } = part;
      this.#hand({ subscribe: [], unsubscribe: [{ topicId, partition }], creditBytes: 0 });
      this.#refuse(part, reason);
    }
  }

  /** The message without the parts that are refused. */
  #sift(message: Message): Message {
    const parts = message[this.#field] as readonly StreamPart[];
    if (this.#field === 'subscribe')
      for (const part of message['unsubscribe'] as readonly StreamPart[])
        this.#standing.delete(keyOf(part));
    const passed = parts.filter((part) => {
      const reason = this.#refusalOf(part);
      if (reason !== null) this.#refuse(part, reason);
      else if (this.#field === 'subscribe') this.#standing.set(keyOf(part), part);
      return reason === null;
    });
    return passed.length === parts.length ? message : { ...message, [this.#field]: passed };
  }

  #refuse(part: StreamPart, reason: string): void {
    this.#call.write?.(partRefused(this.#field, part, this.#ports.denied(reason)));
  }

  /** Null: it is allowed, or names no topic, which the handler says. */
  #refusalOf({ topicId: bytes }: StreamPart): string | null {
    const topicId = readId(bytes);
    const image = this.#ports.image();
    const topic = topicId === null ? undefined : image.topics.get(topicId);
    if (topicId === null || topic === undefined) return null;
    if (image.access !== this.#access) {
      this.#verdicts.clear();
      this.#access = image.access;
    }
    const known = this.#verdicts.get(topicId);
    if (known !== undefined) return known;
    const rights = this.#ports.rights();
    const isAllowed = rights.may(this.#operation, { kind: 'topic', name: topic.name });
    // Whoever names a topic by its id need not know its name.
    const reason = isAllowed
      ? null
      : `${rights.principal} may not ${this.#operation} topic ${topicId}`;
    this.#verdicts.set(topicId, reason);
    return reason;
  }
}

function readId(bytes: Uint8Array): string | null {
  try {
    return topicIdField('topic_id', bytes);
  } catch {
    return null;
  }
}

function keyOf({ topicId, partition }: StreamPart): string {
  return `${Buffer.from(topicId).toString('hex')}/${partition}`;
}
