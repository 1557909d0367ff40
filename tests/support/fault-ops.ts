/** Chooses the ops of a program's listing that fault tests let fail. */
import { strideOf } from "./sample.ts";

export interface ListedOp {
  index: number;
  verb: string;
  why: string;
}

/** The ops up to execve(2). */
export function opsOf(listing: string): ListedOp[] {
  const ops = listing
    .slice(0, listing.indexOf("# cleanup"))
    .split("\n")
    .flatMap((line) => {
      const [, index, verb, why] = /^ *(\d+) {2}(\S+).* {2}# (.*)$/.exec(line) ?? [];
      return index === undefined ? [] : [{ index: Number(index), verb: verb!, why: why! }];
    });
  if (ops.some(({ index }, at) => index !== at)) throw new Error("the listing has ops that are not understood");
  return ops;
}

const STRIDE = strideOf({ emulated: 6 });

/** All ops, or a sample of them on the emulated kernel. */
export function opsToFail(ops: readonly ListedOp[]): ListedOp[] {
  return ops.filter(({ index }) => index % STRIDE === 0);
}
