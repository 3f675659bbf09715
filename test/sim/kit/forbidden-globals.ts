/**
 * While a simulation runs, nothing may ask the machine for time or chance: the process's own
 * functions throw instead.
 */

const FORBIDDEN = ['setTimeout', 'setInterval', 'setImmediate'] as const;

/** Runs `work` with the globals forbidden; they are back when it ends. */
export async function withoutGlobals<T>(work: () => Promise<T>): Promise<T> {
  const saved = FORBIDDEN.map((name) => [name, globalThis[name]] as const);
  const [now, random] = [Date.now, Math.random];
  const performanceNow = performance.now.bind(performance);
  const refuse = (name: string) => (): never => {
    throw new Error(`${name} was called in a simulation: take it from a port`);
  };
  for (const name of FORBIDDEN) Object.assign(globalThis, { [name]: refuse(name) });
  Date.now = refuse('Date.now');
  Math.random = refuse('Math.random');
  performance.now = refuse('performance.now');
  try {
    return await work();
  } finally {
    for (const [name, original] of saved) Object.assign(globalThis, { [name]: original });
    Date.now = now;
    Math.random = random;
    performance.now = performanceNow;
  }
}
