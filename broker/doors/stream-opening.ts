/**
 * A stream whose first message says what it is about: it is judged by that message, before the
 * handler sees it, and by the same again when rules change.
 */
import type { BrokerError } from '../../base/errors.ts';

interface OpeningCall {
  on(event: string, listener: (...values: unknown[]) => void): unknown;
}

export interface OpeningPorts {
  /** Null: the caller may open it so. */
  readonly judge: (opening: unknown) => BrokerError | null;
  readonly refuse: (error: BrokerError) => void;
  readonly isOver: () => boolean;
}

interface Message {
  readonly message?: { readonly $case: string; readonly value: unknown };
}

export class Opening {
  readonly #ports: OpeningPorts;
  /** What it was opened with last; null: nothing yet, so nothing of anybody's was touched. */
  #opening: unknown = null;

  /** Stands between the call and every listener for its messages that is added from now on. */
  constructor(call: OpeningCall, name: string, ports: OpeningPorts) {
    this.#ports = ports;
    const on = call.on.bind(call);
    call.on = (event, listener) =>
      on(event, (...values) => {
        if (event !== 'data') {
          listener(...values);
          return;
        }
        // After its end a stream hands nothing on.
        if (ports.isOver()) return;
        const { message } = (values[0] ?? {}) as Message;
        if (message?.$case === name) this.#opening = message.value;
        if (message?.$case !== name || this.lookAgain()) listener(...values);
      });
  }

  /** Judges it again. False: it was refused, and is over. */
  lookAgain(): boolean {
    const refusal = this.#opening === null ? null : this.#ports.judge(this.#opening);
    if (refusal !== null) this.#ports.refuse(refusal);
    return refusal === null;
  }
}
