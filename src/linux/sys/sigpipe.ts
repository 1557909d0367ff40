/** SIGPIPE, which both engines ignore: a write says EPIPE. A program that takes our place would inherit that. */
import { SIGNALS } from "../../base/signals.ts";
import { SIGSET_BYTES } from "./abi.ts";
import { tryCall } from "./door.ts";

const HANDLERS = { default: 0n, ignored: 1n };

/** Sets what it does to us. Source: sigaction(2); the kernel's struct. */
export function setSigpipe(effect: keyof typeof HANDLERS): void {
  tryCall("rt_sigaction", SIGNALS.PIPE!, new BigUint64Array([HANDLERS[effect], 0n, 0n, 0n]), null, SIGSET_BYTES);
}
