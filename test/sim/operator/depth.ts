/**
 * How much of what can be tried is tried: a part that takes seconds, or with `TIDEMARK_SIM_ALL=1`
 * every point of every scenario and many more seeds.
 */
const IS_ALL = process.env['TIDEMARK_SIM_ALL'] === '1';

/** One write in so many is an operator's last. */
export const WRITES_STRIDE = IS_ALL ? 1 : 8;
/** So many calls of any kind, spread over a scenario, are an operator's last. */
export const CALLS_PER_SCENARIO = IS_ALL ? 40 : 2;
export const HOSTILE_SEEDS = IS_ALL ? 400 : 16;
