/** Finds images by name and id. */
import { LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import {
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from "../../spec/image-reference.ts";
import type { StoredImage } from "./staging.ts";

/** The images of a store by their ids and names, in memory. Each image's own set of names is kept in step. */
export class ImageIndex {
  readonly #images = new Map<Digest, StoredImage>();
  /** Images by full reference. */
  readonly #references = new Map<string, StoredImage>();
  /** The ids of an image's forms for several platforms, by the full references that have any. */
  readonly #forms = new Map<string, readonly Digest[]>();
  /** By the image that they were made from. */
  readonly #children = new Map<Digest, Set<Digest>>();

  values(): StoredImage[] {
    return [...this.#images.values()];
  }

  get(id: Digest): StoredImage | undefined {
    return this.#images.get(id);
  }

  has(id: Digest): boolean {
    return this.#images.has(id);
  }

  add(image: StoredImage): void {
    this.#images.set(image.id, image);
    if (image.parent !== undefined) this.setParent(image, image.parent);
  }

  delete(id: Digest): void {
    const parent = this.#images.get(id)?.parent;
    if (parent !== undefined) this.#children.get(parent)?.delete(id);
    this.#images.delete(id);
    for (const [name, ids] of this.#forms)
      if (ids.includes(id))
        this.#setForms(
          name,
          ids.filter((other) => other !== id),
        );
  }

  /** The images for several platforms that a full reference has; none if it means one image alone. */
  formsOf(name: string): StoredImage[] {
    return (this.#forms.get(name) ?? []).flatMap((id) => this.#images.get(id) ?? []);
  }

  /** Whether a name has the image for one of several platforms. */
  isForm(id: Digest): boolean {
    return [...this.#forms.values()].some((ids) => ids.includes(id));
  }

  #setForms(name: string, ids: readonly Digest[]): void {
    if (ids.length > 1) this.#forms.set(name, ids);
    else this.#forms.delete(name);
  }

  setParent(image: StoredImage, parent: Digest): void {
    image.parent = parent;
    this.#children.set(parent, (this.#children.get(parent) ?? new Set()).add(image.id));
  }

  /** Whether images were made from this one. */
  hasChildren(id: Digest): boolean {
    return (this.#children.get(id)?.size ?? 0) > 0;
  }

  /** Gives the name to an image and, if it is for several platforms, to its forms. */
  setReference(name: string, image: StoredImage, forms: readonly Digest[] = []): void {
    this.#references.get(name)?.references.delete(name);
    this.#references.set(name, image);
    image.references.add(name);
    this.#setForms(name, forms);
  }

  deleteReference(name: string): void {
    this.#forms.delete(name);
    this.#references.get(name)?.references.delete(name);
    this.#references.delete(name);
  }

  /**
   * Finds an image by name (tag "latest" if none), by id, or by the beginning of one image's id, as Docker does: names win.
   * @throws LighterError ("not-found": "No such image: x:latest"; "invalid": not a reference).
   */
  find(nameOrId: string): { image: StoredImage; byId: boolean } {
    const asId = /^(?:sha256:)?([0-9a-f]{64})$/.exec(nameOrId);
    if (asId !== null) {
      const image = this.#images.get(`sha256:${asId[1]}` as Digest);
      if (image === undefined) throw noSuchImage(nameOrId);
      return { image, byId: true };
    }
    const reference = withDefaultTag(parseReference(nameOrId));
    const named = this.#findReference(reference);
    if (named !== undefined) return { image: named, byId: false };
    const prefix = /^(?:sha256:)?([0-9a-f]{1,64})$/.exec(nameOrId)?.[1];
    const matches =
      prefix === undefined ? [] : this.values().filter((image) => image.id.startsWith(`sha256:${prefix}`));
    if (matches[0] === undefined || matches.length > 1) throw noSuchImage(familiarReference(reference));
    return { image: matches[0], byId: true };
  }

  #findReference(reference: Reference): StoredImage | undefined {
    const exact = this.#references.get(formatReference(reference));
    if (exact !== undefined || reference.digest === undefined) return exact;
    // "name:tag@digest" means the digest; Docker ignores the tag.
    const { domain, path, digest } = reference;
    return this.#references.get(formatReference({ domain, path, digest }));
  }

  /** The image that a full reference means. */
  referenced(reference: Reference): StoredImage | undefined {
    return this.#references.get(formatReference(reference));
  }

  /** All tags of a repository, sorted. */
  tagsOf({ domain, path }: Reference): Reference[] {
    return [...this.#references.keys()]
      .map(parseReference)
      .filter((other) => other.domain === domain && other.path === path && other.digest === undefined)
      .sort((a, b) => (a.tag! < b.tag! ? -1 : 1));
  }
}

function noSuchImage(name: string): LighterError {
  return new LighterError("not-found", `No such image: ${name}`);
}
