/** The digests of large files that clients have passed by descriptor, by what identifies them: see image/copies/file-identity.ts. */

/** More are forgotten, those first that were not asked for lately. */
const KNOWN_FILES_MAX = 10_000;

export class KnownFiles {
  readonly #digests = new Map<string, string>();

  find(identity: string): string | undefined {
    const digest = this.#digests.get(identity);
    if (digest !== undefined) this.learn(identity, digest);
    return digest;
  }

  learn(identity: string, digest: string): void {
    this.#digests.delete(identity);
    this.#digests.set(identity, digest);
    if (this.#digests.size > KNOWN_FILES_MAX) this.#digests.delete(this.#digests.keys().next().value!);
  }
}
