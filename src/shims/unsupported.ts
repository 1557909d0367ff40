/** Modules that the small engine does not have: who needs them runs on Bun, as `src/small.ts` decides. */

// biome-ignore lint/suspicious/noExplicitAny: code that never runs here is not checked against it
export type Unchecked = any;

export function refuse(..._given: Unchecked[]): Unchecked {
  throw new Error("this part of the program runs on Bun only");
}

export const dlopen = refuse;
export const ptr = refuse;
export const read: Unchecked = {};
export const FFIType: Unchecked = {};
export const connect = refuse;
export const open = refuse;
export const createGunzip = refuse;
export const createZstdCompress = refuse;
export const createZstdDecompress = refuse;
export const constants: Unchecked = {};
export const Readable = { from: refuse };
export type Readable = Unchecked;
export type { Writable } from "./streams.ts";
