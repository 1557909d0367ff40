/** bpf(2), which loads and attaches eBPF programs. */
import { addressOf, check, tryCall } from "./door.ts";

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
  for (const { at, to } of pointers) view.setBigUint64(at, addressOf(to), true);
  return check(tryCall("bpf", command, attributes, attributes.length), `${what}: bpf(2)`);
}
