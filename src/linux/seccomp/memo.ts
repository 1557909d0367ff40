/**
 * Remembers compiled filters by their section of the runtime-spec. The compiler is loaded only when needed: most commands of the
 * OCI runtime find their filter on the disk.
 */
import { assert } from "../../base/assert.ts";
import type { OciSeccomp } from "../../spec/oci-runtime.ts";
import { hostArch, type NativeArch } from "./native.ts";

export interface SeccompFilter {
  /** The instructions, a `struct sock_filter[]`: 8 bytes each, little endian. */
  instructions: Uint8Array<ArrayBuffer>;
  /** SECCOMP_FILTER_FLAG_… for seccomp(2). */
  flags: number;
  /** With SCMP_ACT_NOTIFY: the unix socket that gets the listener's fd and the container process state. */
  listenerPath?: string;
}

let compile: ((seccomp: OciSeccomp, native: NativeArch) => SeccompFilter) | undefined;

/** Loads the compiler. Must come before `filterOf` of a section whose filter is not known. */
export async function loadCompiler(): Promise<void> {
  compile ??= (await import("./mod.ts")).compileSeccomp;
}

/** Enough entries for the profiles of one machine's containers; a filter is 2–8 KiB. */
const MEMO_ENTRIES = 16;
const memo = new Map<string, SeccompFilter>();
/** Filters of sections that are asked for again as the same object, as each exec of a container does: making the key is slow. */
const memoOfObject = new WeakMap<OciSeccomp, { native: NativeArch; filter: SeccompFilter }>();

/**
 * Does what compileSeccomp() does, remembering the filters used last. The result is shared: do not write to it, nor to `seccomp`
 * afterwards.
 */
export function filterOf(seccomp: OciSeccomp, native: NativeArch = hostArch()): SeccompFilter {
  const known = memoOfObject.get(seccomp);
  if (known?.native === native) return known.filter;
  const filter = memoByText(seccomp, native);
  memoOfObject.set(seccomp, { native, filter });
  return filter;
}

/** Makes `filterOf` return this filter for this object. */
export function knowFilter(seccomp: OciSeccomp, filter: SeccompFilter, native: NativeArch = hostArch()): void {
  memoOfObject.set(seccomp, { native, filter });
}

/** Loads the compiler if `filterOf` will need it. */
export async function prepareFilterOf(seccomp: OciSeccomp | undefined): Promise<void> {
  if (seccomp !== undefined && !memoOfObject.has(seccomp)) await loadCompiler();
}

/** A key that is equal for sections that compile to the same filter. */
export function keyOfSeccomp(seccomp: OciSeccomp, native: NativeArch = hostArch()): string {
  return `${native} ${JSON.stringify(seccomp, (_, value) => (typeof value === "bigint" ? `${value}n` : value))}`;
}

function memoByText(seccomp: OciSeccomp, native: NativeArch): SeccompFilter {
  const key = keyOfSeccomp(seccomp, native);
  let filter = memo.get(key);
  if (filter === undefined) {
    assert(compile !== undefined, "the compiler of seccomp filters is loaded");
    filter = compile(seccomp, native);
  }
  memo.delete(key);
  memo.set(key, filter);
  for (const oldest of memo.keys()) {
    if (memo.size <= MEMO_ENTRIES) break;
    memo.delete(oldest);
  }
  return filter;
}
