/**
 * Whose commits counted for one partition of a group, against the rule of one holder: epochs rise
 * from holder to holder, and each has one.
 */
export interface Told {
  readonly member: string;
  readonly epoch: number;
  readonly askedMs: number;
  readonly answeredMs: number;
}

/** Commits of one partition that were answered with yes. */
export function checkCommits(key: string, told: readonly Told[]): string[] {
  return [...checkOrder(key, told), ...checkHolders(key, told)];
}

/** In one epoch a partition has one holder. */
function checkHolders(key: string, told: readonly Told[]): string[] {
  const holders = new Map<number, string>();
  const faults: string[] = [];
  for (const { epoch, member } of told) {
    const holder = holders.get(epoch) ?? member;
    holders.set(epoch, holder);
    if (holder !== member)
      faults.push(`${key}: ${holder} and ${member} committed by epoch ${epoch}`);
  }
  return faults;
}

/**
 * Who was given it before another one commits nothing that is asked after the other's commit was
 * answered.
 */
function checkOrder(key: string, told: readonly Told[]): string[] {
  const answered = told.toSorted((one, other) => one.answeredMs - other.answeredMs);
  const asked = told.toSorted((one, other) => one.askedMs - other.askedMs);
  const faults: string[] = [];
  let next = 0;
  let newest: Told | null = null;
  for (const commit of asked) {
    for (; (answered[next]?.answeredMs ?? Infinity) < commit.askedMs; next += 1) {
      const before = answered[next]!;
      if (newest === null || before.epoch > newest.epoch) newest = before;
    }
    if (newest !== null && commit.epoch < newest.epoch)
      faults.push(
        `${key}: ${commit.member} committed by epoch ${commit.epoch} at ${commit.askedMs}, ${newest.member} had by ${newest.epoch} at ${newest.answeredMs}`,
      );
  }
  return faults;
}
