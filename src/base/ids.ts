/** "sha256:" and 64 lower-case hex digits: of bytes as stored (compressed). */
export type Digest = string & { readonly __brand: "Digest" };
/** Same form as Digest, of the unpacked tar. */
export type DiffId = string & { readonly __brand: "DiffId" };
/** Same form, of a stack of layers (image-spec config.md#layer-chainid). */
export type ChainId = string & { readonly __brand: "ChainId" };

/** A fresh container, exec or network id: 256 random bits in hex. */
export function randomId(): string {
  return crypto.getRandomValues(Buffer.alloc(32)).toString("hex"); // importing node:crypto takes 1.5 ms
}

/** The twelve digits of an id or a digest by which people know it, without "sha256:". */
export function shortId(id: string): string {
  return id.replace(/^sha[0-9]+:/, "").slice(0, 12);
}
