/**
 * What a stream's receiver holds of its messages: gRPC puts a prefix of five bytes before each, and
 * keeps the pieces of one until it is whole. Pure: follows the lengths, and looks at no message.
 */

const PREFIX_BYTES = 5;
/** Of a piece, beside its bytes: the objects that hold it. An estimate, not measured. */
export const PIECE_BYTES = 512;
/** Of a message that waits to be read, beside its bytes. */
const MESSAGE_BYTES = 512;

export class MessageMeter {
  #prefixBytes = 0;
  #length = 0;
  #bytesLeft = 0;
  #messageBytes = 0;
  /** Of the message that is not whole: its bytes so far, and the objects around them. */
  unfinishedBytes = 0;
  /** Of those that the latest piece made whole. */
  finishedBytes = 0;

  /** A piece came. */
  take(piece: Uint8Array): void {
    this.finishedBytes = 0;
    let at = 0;
    while (at < piece.length) {
      if (this.#prefixBytes < PREFIX_BYTES) {
        if (this.#prefixBytes === 1) this.#length = 0;
        // The first byte says whether it is compressed.
        if (this.#prefixBytes > 0) this.#length = this.#length * 256 + (piece[at] ?? 0);
        this.#prefixBytes += 1;
        this.#messageBytes += 1;
        at += 1;
        this.#bytesLeft = this.#length;
      } else {
        const bytes = Math.min(this.#bytesLeft, piece.length - at);
        this.#bytesLeft -= bytes;
        this.#messageBytes += bytes;
        at += bytes;
      }
      if (this.#prefixBytes === PREFIX_BYTES && this.#bytesLeft === 0) this.#finish();
    }
    if (this.#messageBytes === 0) this.unfinishedBytes = 0;
    // A whole message before it set its pieces free; this one remains.
    else if (this.finishedBytes > 0) this.unfinishedBytes = this.#messageBytes + PIECE_BYTES;
    else this.unfinishedBytes += piece.length + PIECE_BYTES;
  }

  /** Is there the beginning of a message whose end has not come? */
  get isUnfinished(): boolean {
    return this.#messageBytes > 0;
  }

  #finish(): void {
    this.finishedBytes += this.#messageBytes + MESSAGE_BYTES;
    this.#prefixBytes = 0;
    this.#length = 0;
    this.#messageBytes = 0;
  }
}
