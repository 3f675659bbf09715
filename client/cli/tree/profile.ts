/** `tidemark profile`. */
import type { Command } from 'commander';
import type { ProfileOptions, SetOptions, UseOptions } from '../commands/profile.ts';
import type { Surroundings } from '../output.ts';
import { examples, format, SERVER_ORDER } from './shared.ts';

/** Adds `profile set|list|show|delete|use`. */
export function addProfile(program: Command, around: Surroundings): void {
  const profile = program
    .command('profile')
    .description('named clusters, kept in a file of yours')
    .addHelpText(
      'after',
      `
The file is tidemark/profiles.json below XDG_CONFIG_HOME, else below ~/.config; only its owner may read it.

${SERVER_ORDER}`,
    );
  const load = () => import('../commands/profile.ts');
  const set = profile
    .command('set')
    .argument('<name>', '1 to 63 of a-z A-Z 0-9 . _ -')
    .description('make a profile, or give it other servers')
    .requiredOption('-s, --server <host:port,...>', 'servers to try')
    .option('--tls-ca <file>', 'speak TLS; authorities of the servers, as PEM')
    .option('--tls-cert <file>', 'certificate to show, as PEM')
    .option('--tls-key <file>', 'its private key, as PEM')
    .option('--token-file <file>', 'file of the token to show')
    .addOption(format());
  examples(set, 'profile set staging --server log-0.staging:9641,log-1.staging:9641').action(
    async (name: string, options: SetOptions) => (await load()).setProfile(name, options, around),
  );
  const list = profile.command('list').alias('ls').description('all profiles').addOption(format());
  examples(list, 'profile list').action(async (options: ProfileOptions) =>
    (await load()).listProfiles(options, around),
  );
  const show = profile
    .command('show')
    .argument('[name]', 'without one: which servers a command takes now, and why')
    .description('one profile')
    .addOption(format());
  examples(show, 'profile show', 'profile show staging').action(
    async (name: string | undefined, options: ProfileOptions) =>
      (await load()).showProfile(name, options, around),
  );
  const remove = profile
    .command('delete')
    .argument('<name>')
    .description('forget a profile')
    .addOption(format());
  examples(remove, 'profile delete staging').action(async (name: string, options: ProfileOptions) =>
    (await load()).deleteProfile(name, options, around),
  );
  const use = profile
    .command('use')
    .argument('[name]')
    .description('take a profile wherever neither an option nor the environment says otherwise')
    .option('--none', 'take none')
    .addOption(format());
  examples(use, 'profile use staging', 'profile use --none').action(
    async (name: string | undefined, options: UseOptions) =>
      (await load()).useProfile(name, options, around),
  );
}
