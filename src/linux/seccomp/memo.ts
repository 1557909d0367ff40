/**
 * Filters that are compiled, by the runtime-spec section that they are of. Without the compiler, which most commands of the OCI runtime
 * do not need: they find theirs on the disk.
 */
import { assert } from "../../base/assert.ts";
import type { OciSeccomp } from "../../spec/oci-runtime.ts";
import { hostArch, type NativeArch } from "./native.ts";

export interface SeccompFilter {
  /** `struct sock_filter[]`: 8 bytes each, little endian. */
  instructions: Uint8Array<ArrayBuffer>;
  /** SECCOMP_FILTER_FLAG_… for seccomp(2). */
  flags: number;
  /** With SCMP_ACT_NOTIFY: the unix socket that gets the listener's fd and the container process state. */
  listenerPath?: string;
}

let compile: ((seccomp: OciSeccomp, native: NativeArch) => SeccompFilter) | undefined;

/** Before any `filterOf` of a section whose filter is not known. */
export async function loadCompiler(): Promise<void> {
  compile ??= (await import("./mod.ts")).compileSeccomp;
}

/** Enough for the profiles of one machine's containers; a filter is 2–8 KiB. */
const MEMO_ENTRIES = 16;
const memo = new Map<string, SeccompFilter>();
/** Of sections that are asked for again as the same object, as by each exec of a container: to make the text is slow. */
const memoOfObject = new WeakMap<OciSeccomp, { native: NativeArch; filter: SeccompFilter }>();

/** compileSeccomp() that remembers the filters used last. The result is shared: do not write to it, nor to `seccomp` afterwards. */
export function filterOf(seccomp: OciSeccomp, native: NativeArch = hostArch()): SeccompFilter {
  const known = memoOfObject.get(seccomp);
  if (known?.native === native) return known.filter;
  const filter = memoByText(seccomp, native);
  memoOfObject.set(seccomp, { native, filter });
  return filter;
}

/** `filterOf` gives this filter for this object. */
export function knowFilter(seccomp: OciSeccomp, filter: SeccompFilter, native: NativeArch = hostArch()): void {
  memoOfObject.set(seccomp, { native, filter });
}

/** For `filterOf`: loads the compiler if it is needed. */
export async function prepareFilterOf(seccomp: OciSeccomp | undefined): Promise<void> {
  if (seccomp !== undefined && !memoOfObject.has(seccomp)) await loadCompiler();
}

/** Equal for what compiles to the same filter. */
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
