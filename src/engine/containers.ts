/** All containers in memory, by id and by name. */
import { LighterError } from "../base/errors.ts";
import type { Container } from "./container.ts";
import { linksOf } from "./endpoints/links.ts";
import { nameInUse, noSuchContainer } from "./errors.ts";

/** The containers, oldest first; without those being removed. */
export class Containers {
  readonly #byId = new Map<string, Container>();
  readonly #byName = new Map<string, Container>();

  add(container: Container): void {
    this.#byId.set(container.id, container);
    this.#byName.set(container.record.name, container);
  }

  delete({ id, record }: Container): void {
    this.#byId.delete(id);
    this.#byName.delete(record.name);
  }

  /** Notes that a container has another name. */
  renamed(container: Container, oldName: string): void {
    this.#byName.delete(oldName);
    this.#byName.set(container.record.name, container);
  }

  hasName(name: string): boolean {
    return this.#byName.has(name);
  }

  /** @throws LighterError "conflict" if a container has the name */
  requireFreeName(name: string): void {
    const owner = this.#byName.get(name);
    if (owner !== undefined) throw nameInUse(name, owner.id);
  }

  /** Returns all, oldest first. */
  values(): Iterable<Container> {
    return this.#byId.values();
  }

  /** Returns all, newest first. */
  list(): Container[] {
    return [...this.#byId.values()].reverse();
  }

  /** Finds a container by its whole id. */
  get(id: string): Container | undefined {
    return this.#byId.get(id);
  }

  /**
   * Finds a container by id, name, the name and the alias of a link ("app/db"), or the beginning of an id, in this order. @throws
   * LighterError "not-found", "invalid" if ambiguous
   */
  find(ref: string): Container {
    const found = this.#byId.get(ref) ?? this.#byName.get(ref.startsWith("/") ? ref.slice(1) : ref);
    if (found !== undefined) return found;
    const linked = this.#findLinked(ref);
    if (linked !== undefined) return linked;
    const matches = ref === "" ? [] : [...this.#byId.values()].filter(({ id }) => id.startsWith(ref));
    if (matches.length > 1) throw new LighterError("invalid", `Multiple IDs found with provided prefix: ${ref}`);
    if (matches[0] === undefined) throw noSuchContainer(ref);
    return matches[0];
  }

  /** Finds like `find`; undefined for none and for many. */
  findIf(ref: string): Container | undefined {
    try {
      return this.find(ref);
    } catch {
      return undefined;
    }
  }

  #findLinked(ref: string): Container | undefined {
    const [, name = "", alias] = /^\/?([^/]+)\/([^/]+)$/.exec(ref) ?? [];
    const container = this.#byName.get(name);
    if (container === undefined) return undefined;
    return linksOf(container.record, (id) => this.#byId.get(id)).find((link) => link.alias === alias)?.container;
  }
}
