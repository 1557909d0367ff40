/** bpf(2), which loads and attaches eBPF programs. */
import { address, check, libc } from "./libc.ts";

const SYS_BPF = process.arch === "arm64" ? 280n : 321n;

/**
 * Calls bpf(2). `attributes` is a `union bpf_attr`; the addresses of `pointers` are filled in.
 * @throws LighterError ("kernel"), which says `what` was to be done
 */
export function bpf(
  command: number,
  attributes: Uint8Array,
  pointers: readonly { at: number; to: Uint8Array }[],
  what: string,
): number {
  const view = new DataView(attributes.buffer, attributes.byteOffset);
  for (const { at, to } of pointers) view.setBigUint64(at, address(to), true);
  const size = BigInt(attributes.length);
  return check(libc.syscall(SYS_BPF, BigInt(command), address(attributes), size, 0n, 0n), `${what}: bpf(2)`);
}
