/** What an owner is told of a partition: as much as it wants, of a log that may hold anything. */
import { describe, expect, it } from 'vitest';
import type { QueueNews } from '../../../../../broker/runtime/api.ts';
import { QueueReader } from '../../../../../broker/service/queues/queue-reader.ts';
import { ReadAhead } from '../../../../../broker/service/queues/read-ahead.ts';
import { Turns } from '../../../../../broker/service/queues/turns.ts';
import { control, frame, TOPIC, type TestFrame } from '../../../../fixtures/frames.ts';
import { keyedFrame } from '../../../../fixtures/keyed-log.ts';
import { ScriptedLog } from './scripted-log.ts';

const two = (baseOffset: number): TestFrame =>
  keyedFrame(baseOffset, [{ key: 'k', value: 'a' }, { value: 'b' }]);

/** An owner that wants so many records at a time, from wherever it is. */
class Owner {
  readonly log: ScriptedLog;
  readonly news: QueueNews[] = [];
  readonly reader: QueueReader;
  #at: number;
  readonly #records: number;

  constructor(frames: readonly TestFrame[], at = 0, records = 10, logStart = 0) {
    this.log = new ScriptedLog(frames);
    this.log.logStart = logStart;
    this.#at = at;
    this.#records = records;
    this.reader = new QueueReader({
      ...{ ...this.log.parts(), topicId: TOPIC, partition: 0, keep: () => undefined },
      ...{ ahead: new ReadAhead(1024 * 1024), turns: new Turns(1) },
      take: (news) => {
        this.news.push(news);
        this.#at = news.kind === 'data' ? news.to : news.offset;
        this.#want();
      },
    });
    this.#want();
    this.log.clock.settle();
  }

  /** What it was told, as offsets; of others their kind. */
  get told(): string[] {
    return this.news.map((news) =>
      news.kind === 'data'
        ? `${news.from}-${news.to}: ${news.records.map(({ offset }) => offset).join(' ')}`
        : `${news.kind} ${news.offset}`,
    );
  }

  #want(): void {
    const offset = this.#at;
    this.reader.want({ offset, records: this.#records }, { offset, epoch: offset === 0 ? 0 : 1 });
  }
}

describe('QueueReader', () => {
  it('tells of as many records as are wanted, and of what holds none', () => {
    const owner = new Owner([control(0, 1, 0), two(1), two(3)], 0, 1);
    expect(owner.told).toEqual(['0-1: ', '1-2: 1', '2-3: 2', '3-4: 3', '4-5: 4']);
  });

  it('passes over a batch that nobody can read, and says how many records it counts', () => {
    const poison = frame(3, { records: 2, payloadBytes: 9, fill: 0xff });
    const owner = new Owner([control(0, 1, 0), two(1), poison, two(5)]);
    expect(owner.told).toEqual(['0-1: ', '1-3: 1 2', '3-5: ', '5-7: 5 6']);
    expect(owner.news[2]).toMatchObject({ unreadable: 2 });
  });

  it('reads a damaged batch again until it is whole, and loses no credit by that', () => {
    const whole = keyedFrame(1, [{ value: 'x'.repeat(300_000) }]);
    const damaged = { ...whole, bytes: whole.bytes.map((byte, at) => (at === 80 ? ~byte : byte)) };
    const owner = new Owner([control(0, 1, 0), damaged, two(2)]);
    owner.log.clock.advance(10_000);
    expect(owner.told).toEqual(['0-1: ']);
    owner.log.frames = [control(0, 1, 0), whole, two(2)];
    owner.log.clock.advance(1_000);
    expect(owner.told).toEqual(['0-1: ', '1-2: 1', '2-4: 2 3']);
  });

  it('says where the log begins, and where it was cut', () => {
    const late = new Owner([two(3)], 1, 10, 3);
    late.log.clock.advance(10);
    expect(late.told).toEqual(['log-start 3', 'log-start 3', '3-5: 3 4']);
    const cut = new Owner([control(0, 1, 0), two(1)], 7);
    cut.log.clock.advance(10);
    expect(cut.told[0]).toBe('diverged 3');
  });
});
