/** What parts of the page share: what it may do, and ways to do it. */
import { createContext } from 'preact';
import type { Copies, Reached } from '../model/copies.ts';
import type { About, Action, ActionAnswer } from '../snapshot.ts';

/** Something that a person may copy. */
export interface Copied {
  /** What is done, as a heading. */
  readonly title: string;
  readonly copies: Copies;
}

export interface Tools {
  readonly about: About;
  /** How a copied command reaches the cluster. */
  readonly reached: Reached;
  /** Shows how the same is done elsewhere. */
  readonly show: (copied: Copied) => void;
  /** Does it, and tells what became of it. */
  readonly act: (action: Action) => Promise<ActionAnswer>;
}

/** Null before the server was asked. */
export const ToolsContext = createContext<Tools | null>(null);
