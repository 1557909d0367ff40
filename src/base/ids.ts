/** The digest of bytes as stored (compressed): "sha256:" and 64 lower-case hex digits. */
export type Digest = string & { readonly __brand: "Digest" };
/** The digest of a layer's unpacked tar, in the form of Digest. */
export type DiffId = string & { readonly __brand: "DiffId" };
/** The digest of a stack of layers, in the form of Digest (image-spec config.md#layer-chainid). */
export type ChainId = string & { readonly __brand: "ChainId" };

/** A new container, exec or network id: 256 random bits in hex. */
export function randomId(): string {
  return crypto.getRandomValues(Buffer.alloc(32)).toString("hex"); // importing node:crypto takes 1.5 ms
}

/** The first twelve digits of an id or digest, without "sha256:", which people know it by. */
export function shortId(id: string): string {
  return id.replace(/^sha[0-9]+:/, "").slice(0, 12);
}
