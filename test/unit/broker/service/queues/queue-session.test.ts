/** A consumer's stream while owners move, stall, answer late, and links break. */
import { expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import { MEMBER, SessionScene } from './session-scene.ts';

const offsetsOf = (scene: SessionScene): number[] =>
  scene.toldOf('records').flatMap(({ records }) => records.map(({ offset }) => offset));
const settledAt = (scene: SessionScene, brokerId: number): string[] =>
  scene
    .at(brokerId)
    .of('settle')
    .flatMap(({ acknowledgements }) =>
      acknowledgements.map(({ offset, verdict }) => `${verdict?.$case ?? ''} ${offset}`),
    );

it('asks its owner within the credit, and brings what it says', () => {
  const scene = new SessionScene();
  scene.open();
  expect(scene.at(2).of('open')).toMatchObject([{ memberId: MEMBER, attempt: 3, proxy: 1 }]);
  scene.at(2).give(7);
  expect(offsetsOf(scene)).toEqual([7]);
  expect(scene.at(2).of('ask')).toHaveLength(1);
});

it('asks the owner of now where the one of before does not answer, and puts back what comes', () => {
  const scene = new SessionScene();
  scene.open();
  scene.owner = 3;
  scene.change();
  expect(scene.at(2).of('withdraw')).toHaveLength(1);
  expect(scene.at(3).of('ask')).toHaveLength(1);
  // It was stalled, and knows of nothing.
  scene.at(2).give(7);
  expect(offsetsOf(scene)).toEqual([]);
  expect(settledAt(scene, 3)).toEqual(['release 7']);
  scene.at(3).give(8);
  expect(offsetsOf(scene)).toEqual([8]);
});

it('withdraws once from an owner of before, and credit counts once', () => {
  const scene = new SessionScene();
  scene.open(2);
  scene.owner = 3;
  for (let time = 0; time < 3; time += 1) scene.change();
  expect(scene.at(2).of('withdraw')).toHaveLength(1);
  scene.at(2).give();
  scene.at(3).give(1);
  expect(
    scene
      .at(3)
      .of('ask')
      .map(({ records }) => records),
  ).toEqual([2, 1]);
});

it('says of records to the owner of now what that of before did not answer', () => {
  const scene = new SessionScene();
  scene.open();
  scene.at(2).give(7);
  scene.acknowledge(1, 7);
  expect(settledAt(scene, 2)).toEqual(['accept 7']);
  scene.owner = 3;
  scene.change();
  expect(settledAt(scene, 3)).toEqual(['accept 7']);
  const answer = ({ requestId }: { requestId: number }) => ({
    $case: 'settled' as const,
    value: { requestId, outcomes: [{ error: undefined }], error: undefined },
  });
  // Late, and of nobody.
  scene.at(2).supply(answer(scene.at(2).of('settle')[0]!));
  expect(scene.toldOf('acknowledged')).toEqual([]);
  scene.at(3).supply(answer(scene.at(3).of('settle')[0]!));
  expect(scene.toldOf('acknowledged')).toHaveLength(1);
});

it('goes on once there is an owner again', () => {
  const scene = new SessionScene();
  scene.open();
  scene.owner = -1;
  scene.change();
  scene.clock.advance(2_000);
  scene.owner = 3;
  scene.change();
  scene.clock.advance(1_000);
  expect(scene.at(3).of('ask')).toHaveLength(1);
});

it('tells an owner of itself again after a link broke, also where it asks for nothing', () => {
  const scene = new SessionScene();
  scene.open();
  scene.at(2).give(7);
  scene.at(2).end(new BrokerError('UNREACHABLE', 'the connection broke'));
  scene.clock.advance(1_000);
  expect(scene.links).toHaveLength(2);
  expect(scene.at(2).of('open')).toMatchObject([{ attempt: 3 }]);
  expect(scene.at(2).of('ask')).toEqual([]);
});

it('tells its consumer where leases last another time', () => {
  const scene = new SessionScene();
  scene.open();
  scene.change();
  expect(scene.toldOf('joined').map(({ leaseMs }) => leaseMs)).toEqual([30_000]);
  scene.config = { ...scene.config, leaseMs: 1_000 };
  scene.change();
  expect(scene.toldOf('joined').map(({ leaseMs }) => leaseMs)).toEqual([30_000, 1_000]);
});

it('is told of partitions that were added, and their owners of it', () => {
  const scene = new SessionScene();
  scene.open();
  scene.at(2).give(7);
  scene.partitions = 2;
  scene.ownerOfAdded = 3;
  scene.change();
  expect(scene.at(3).of('open')).toHaveLength(1);
});

it('ends for good where another stream is the member', () => {
  const scene = new SessionScene();
  scene.open();
  scene.at(2).end(new BrokerError('FENCED', 'another stream took its place'));
  expect(scene.end).toMatchObject({ code: 'FENCED' });
  scene.clock.advance(5_000);
  expect(scene.links).toHaveLength(1);
});

it('hands over what the member has once it left, after its last word is answered', async () => {
  const scene = new SessionScene();
  scene.open();
  scene.at(2).give(7);
  scene.acknowledge(1, 7);
  scene.take({ $case: 'leave', value: { isReturning: false } });
  expect(scene.at(2).of('gone')).toEqual([]);
  // Its owner hears of it by another link.
  scene.at(2).end(new BrokerError('UNREACHABLE', 'the connection broke'));
  scene.clock.advance(1_000);
  const { requestId } = scene.at(2).of('settle')[0]!;
  const value = { requestId, outcomes: [{ error: undefined }], error: undefined };
  scene.at(2).supply({ $case: 'settled', value });
  for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
  expect(scene.at(2).of('gone')).toHaveLength(1);
  expect(scene.end).toBeNull();
});

it('hands over once the grace is over that its stream broke with, and not before', () => {
  const scene = new SessionScene();
  scene.open(1, 3_000);
  scene.session.close();
  scene.at(2).give(7);
  // Nobody had it, so that counts as no delivery.
  const [unsent] = scene.at(2).of('unsent');
  expect(unsent?.records).toMatchObject([{ offset: 7, leaderEpoch: 1, delivery: 1 }]);
  scene.clock.advance(2_900);
  expect(scene.at(2).of('gone')).toEqual([]);
  scene.clock.advance(200);
  expect(scene.at(2).of('gone')).toHaveLength(1);
});
