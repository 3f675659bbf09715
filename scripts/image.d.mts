interface ImageRequest {
  readonly name: string;
  /** Such as `linux/amd64,linux/arm64`. */
  readonly platforms: string;
  readonly isPushed: boolean;
}

export function readArguments(args: readonly string[]): ImageRequest;
export function imageCommands(
  tool: 'docker' | 'buildah',
  request: ImageRequest,
  how: { readonly commit: string; readonly folder: string },
): readonly (readonly string[])[];
