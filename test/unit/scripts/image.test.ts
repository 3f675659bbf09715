import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { imageCommands, readArguments } from '../../../scripts/image.mjs';

const BOTH = 'linux/amd64,linux/arm64';

describe('the image for several architectures', () => {
  it('is built for both, unless others are named', () => {
    expect(readArguments(['registry.example/t:1'])).toEqual({
      name: 'registry.example/t:1',
      platforms: BOTH,
      isPushed: false,
    });
    expect(readArguments(['--push', 't', '--platform', 'linux/arm64'])).toEqual({
      name: 't',
      platforms: 'linux/arm64',
      isPushed: true,
    });
  });

  it.each([[[]], [['--pull', 't']], [['t', 'u']], [['t', '--platform', 'windows/amd64']]])(
    'is not built of %j',
    (args) => {
      expect(() => readArguments(args)).toThrow(/^Usage: |--platform has/);
    },
  );

  it('is one name for all of them, with either tool', () => {
    const request = { name: 'registry.example/t:1', platforms: BOTH, isPushed: true };
    const how = { commit: 'abc', folder: '/tmp/files' };
    const built = ['--platform', BOTH, '--build-arg', 'COMMIT=abc'];
    expect(imageCommands('docker', request, how)).toEqual([
      ['docker', 'buildx', 'build', ...built, '--tag', request.name, '--push', '.'],
    ]);
    const context = ['--build-context', 'files=/tmp/files'];
    const commands = [
      ['buildah', 'build', '--target', 'files', '--output', 'type=local,dest=/tmp/files', '.'],
      ['buildah', 'build', ...built, ...context, '--manifest', request.name, '.'],
      ['buildah', 'manifest', 'push', '--all', request.name, `docker://${request.name}`],
    ];
    expect(imageCommands('buildah', request, how)).toEqual(commands);
    const kept = imageCommands('buildah', { ...request, isPushed: false }, how);
    expect(kept).toEqual(commands.slice(0, 2));
  });

  it('has nothing to run in the part that is of its own architecture', () => {
    const text = readFileSync(new URL('../../../Dockerfile', import.meta.url), 'utf8');
    const stages = text.split(/^FROM /m).slice(1);
    expect(stages[0]).toContain('--platform=$BUILDPLATFORM');
    expect(stages.slice(1).filter((stage) => /^RUN /m.test(stage))).toEqual([]);
    expect(stages).toHaveLength(3);
  });
});
