import type * as esbuild from 'esbuild';

export const PROGRAMS: readonly string[];
export function sourcesKey(root: string): string;
export function bundle(
  bundler: Pick<typeof esbuild, 'buildSync'>,
  root: string,
  programs: readonly string[],
  folder: string,
): string[];
export function bundleForImage(
  bundler: Pick<typeof esbuild, 'buildSync'>,
  root: string,
  folder: string,
): string[];
export function bundlePage(
  bundler: Pick<typeof esbuild, 'buildSync'>,
  root: string,
  folder: string,
): string[];
export function builtProgram(
  root: string,
  program: string,
  load?: () => Promise<Pick<typeof esbuild, 'buildSync'>>,
): Promise<{ readonly folder: string; readonly file: string } | undefined>;
