/** What principals may do, by committed metadata: the rules are put in order once a change. */
import { AccessRules, type Rights } from '../access/rules.ts';
import { emptyImage } from '../metadata/apply.ts';
import { isAccessChanged } from '../metadata/delta.ts';
import type { MetadataImage } from '../metadata/types.ts';

export class LiveAccess {
  /** Patterns of principals that may do everything, whatever metadata says. */
  readonly administrators: readonly string[];
  #image: MetadataImage = emptyImage();
  #rules: AccessRules;

  constructor(administrators: readonly string[]) {
    this.administrators = administrators;
    this.#rules = new AccessRules([], administrators);
  }

  rightsOf(principal: string, image: MetadataImage): Rights {
    if (isAccessChanged(this.#image, image))
      this.#rules = new AccessRules(image.access.values(), this.administrators);
    this.#image = image;
    return this.#rules.rightsOf(principal);
  }
}
