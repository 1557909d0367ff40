/** Modules that the short commands do not have: who needs them runs on Bun, as `src/small.ts` decides. */
function refuse(): never {
  throw new Error("this part of the program runs on Bun only");
}

export const connect = refuse;
export const open = refuse;
export const createGunzip = refuse;
export const createZstdCompress = refuse;
export const createZstdDecompress = refuse;
export const constants = {};
export { Readable } from "./streams.ts";
