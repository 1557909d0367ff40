/** Copies between trees of layers, into a new layer: what COPY and ADD do. */
export { makeDirectory, makeFile, makeSymlink, removePath, timeOf } from "./change.ts";
export { ContentHash } from "./content.ts";
export { copySource } from "./copy.ts";
export type { KnownDigests } from "./file-recall.ts";
export { fillLarge } from "./fill-large.ts";
export { type ContextMemory, KnownContext } from "./known-context.ts";
export { LayerTarget, type Owner } from "./layer-target.ts";
export { LayerTree } from "./layer-tree.ts";
export { isDirectory, isFile, readWhole, type SourceTree } from "./source-tree.ts";
export { hasWildcards, openMatches, openSource, type Source } from "./sources.ts";
export { type AbsentFile, SpoolWriter, spoolDigest } from "./spool-writer.ts";
export { SpooledTree } from "./spooled-tree.ts";
export { ToldWriter } from "./told-files.ts";
export { isArchive, unpackSource } from "./unpack.ts";
export type { Selection } from "./walk.ts";
