import { describe, expect, it } from 'vitest';
import { NUMBER_OPTIONS } from '../../../base/broker-options.ts';
import { LOCAL_HELP, readLocalOptions } from '../../../local/options.ts';

describe('options of npm start', () => {
  it('have defaults, and hand on what follows --', () => {
    expect(readLocalOptions(['--', '--log-level', 'debug', '--voters-max=1'])).toMatchObject({
      brokers: 3,
      port: 9641,
      internalPort: 9691,
      httpPort: 9741,
      pagePort: 9640,
      votersMax: 1,
      isHelp: false,
      brokerArguments: ['--log-level', 'debug', '--voters-max=1'],
    });
  });

  it('are read', () => {
    const rest = ['--help', '--secure', '--http-port', '0'];
    const argv = ['--brokers', '5', '--port=19641', '--data', '/d', ...rest];
    expect(readLocalOptions(argv)).toEqual({
      brokers: 5,
      port: 19_641,
      internalPort: 19_691,
      httpPort: 0,
      pagePort: 19_640,
      dataDir: '/d',
      isHelp: true,
      isSecure: true,
      votersMax: 3,
      brokerArguments: [],
    });
  });

  it('are those of every broker too', () => {
    const argv = ['--voters-max', '5', '--log-level=warn', '--', '--feature-level-max', '3'];
    expect(readLocalOptions(argv)).toMatchObject({
      votersMax: 5,
      brokerArguments: ['--voters-max', '5', '--log-level', 'warn', '--feature-level-max', '3'],
    });
    const missing = Object.values(NUMBER_OPTIONS).filter(
      ({ flag, meaning }) => !LOCAL_HELP.includes(`--${flag} `) || !LOCAL_HELP.includes(meaning),
    );
    // Told in other words: each broker has a metrics port of its own.
    expect(missing).toEqual([NUMBER_OPTIONS.httpPort]);
  });

  it('tell every fault', () => {
    const argv = ['--port', '1e3', '--brokers', '16', 'stray', '--log-level', 'loud'];
    expect(() => readLocalOptions(argv)).toThrow(
      [
        "'stray' belongs to no option, every value must follow its --option",
        "brokers is '16', must be a whole number from 1 to 15",
        "port is '1e3', must be a whole number from 1 to 65421",
        "log-level is 'loud', must be one of trace, debug, info, warn, error, silent",
      ].join('\n'),
    );
  });

  it.for([
    {
      name: 'an option that there is not',
      argv: ['--broker', '5'],
      message:
        /^--broker is not an option, must be one of --brokers, --data, --port, .*--help, --secure$/,
    },
    {
      name: 'two that do not go together',
      argv: ['--heartbeat-ms', '1000', '--session-timeout-ms', '1000'],
      message: /^session-timeout-ms is 1000, must be at least three times heartbeat-ms/,
    },
    {
      name: 'metrics where brokers listen',
      argv: ['--port', '9641', '--http-port', '9643'],
      message: /^http-port is 9643, must be 3 or more away from port \(9641\)$/,
    },
    {
      name: 'one listener where the other is',
      argv: ['--internal-port', '9742'],
      message: /^http-port is 9741, must be 3 or more away from internal-port \(9742\)$/,
    },
  ])('refuse $name', ({ argv, message }) => {
    expect(() => readLocalOptions(argv)).toThrow(message);
  });
});
