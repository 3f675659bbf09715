#!/usr/bin/env node
/**
 * The `tidemark` command of a checkout (`npx tidemark`): the program of client/cli on the pinned
 * Node.
 */
import { launch } from './launch.mjs';

launch('client/cli/main.ts', process.argv.slice(2));
