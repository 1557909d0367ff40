/** Copies between trees of layers, into a new layer: what COPY and ADD do. */
export { ContentHash } from "./content.ts";
export { copySource } from "./copy.ts";
export { DigestWriter, KnownDigests } from "./known-digests.ts";
export { LayerTarget, type Owner } from "./layer-target.ts";
export { closeSource, hasWildcards, openMatches, openSource, type Source } from "./sources.ts";
export { isArchive, unpackSource } from "./unpack.ts";
export type { Selection } from "./walk.ts";
