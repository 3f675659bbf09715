/**
 * The launcher by hand: `node scripts/run.mjs test/kube/launcher/main.ts up` builds and loads the
 * image, keeps a cluster up until Ctrl-C and then removes it. In a second terminal: kubectl ARGS,
 * helm ARGS, cut NODE, heal NODE, crash NODE, start NODE, delete NODE, replace NODE, load (the
 * image, built anew), down.
 */
import { buildImage, loadImage } from './image.ts';
import { tryTool } from './kubectl.ts';
import * as launcher from './launcher.ts';
import { missingPrerequisites } from './prerequisites.ts';

const say = (text: string): void => console.log(text);

async function load(): Promise<void> {
  say('building the image');
  await loadImage(await buildImage());
}

async function stay(): Promise<void> {
  const missing = await missingPrerequisites();
  if (missing.length > 0) throw new Error(`Cannot start a cluster without: ${missing.join('; ')}`);
  const ended = new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  const alive = setInterval(() => undefined, 60_000);
  await launcher.up(say);
  try {
    await load();
    say('the cluster is up; Ctrl-C removes it');
    await ended;
  } finally {
    clearInterval(alive);
    await launcher.down();
  }
}

const COMMANDS: Readonly<Record<string, (node: string) => Promise<void>>> = {
  up: stay,
  down: launcher.down,
  load,
  cut: launcher.cutNode,
  heal: launcher.healNode,
  crash: launcher.crashNode,
  start: launcher.startNodeAgain,
  delete: launcher.deleteNode,
  replace: launcher.replaceNode,
};

const [name = '', ...args] = process.argv.slice(2);
if (name === 'kubectl' || name === 'helm') {
  const { code, stdout, stderr } = await tryTool(name, args);
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  process.exitCode = code;
} else {
  const command = COMMANDS[name];
  if (command === undefined)
    throw new Error(`"${name}" is none of kubectl, helm, ${Object.keys(COMMANDS).join(', ')}`);
  await command(args[0] ?? '');
}
