/** What a scenario is made of. */
import type { World, WorldOptions } from './world.ts';

export interface Scenario {
  readonly title: string;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly world?: Partial<WorldOptions>;
  /** Objects of somebody else, which are there before the LogCluster. */
  readonly before?: () => readonly StrangeObject[];
  /** Before anything is there. */
  readonly prepare?: (world: World) => void;
  /** Takes so long that fewer points of it are tried. */
  readonly isLong?: true;
  /** Begins before there is a cluster. */
  readonly isFromNothing?: boolean;
  readonly play: (world: World) => Promise<void>;
}

interface StrangeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly spec: object;
}
