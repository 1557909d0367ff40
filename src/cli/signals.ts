import { FORWARDED_SIGNALS } from "../base/signals.ts";
import type { Client } from "./client.ts";

/**
 * Passes signals that reach us on to the container's process, until the returned function is called. With a terminal
 * WINCH is left out: the container's own terminal, which follows ours in size, sends it.
 */
export function forwardSignals(client: Client, containerId: string, tty: boolean): () => void {
  const signals: readonly NodeJS.Signals[] = tty ? FORWARDED_SIGNALS : [...FORWARDED_SIGNALS, "SIGWINCH"];
  const forward = (signal: NodeJS.Signals) => {
    // Not started yet, or just ended: nobody to signal. The stock client drops these too.
    client.postEmpty(`/containers/${containerId}/kill`, { signal: signal.replace(/^SIG/, "") }).catch(() => {});
  };
  for (const signal of signals) process.on(signal, forward);
  return () => {
    for (const signal of signals) process.off(signal, forward);
  };
}

/**
 * Keeps the size of a container's or exec's terminal that of ours, now and at every change, until the returned function
 * is called. `path` is the resize route.
 */
export async function followWindowSize(client: Client, path: string): Promise<() => void> {
  const { readWindowSize } = await import("../linux/sys/tty.ts");
  let busy = false;
  let changed = false;
  // One request at a time: two on different connections could arrive in the wrong order.
  const follow = async () => {
    changed = true;
    if (busy) return;
    busy = true;
    while (changed) {
      changed = false;
      const size = readWindowSize(1);
      if (size === undefined || (size.rows === 0 && size.columns === 0)) break;
      // An error means that the process has just ended.
      await client.postEmpty(path, { h: String(size.rows), w: String(size.columns) }).catch(() => {});
    }
    busy = false;
  };
  process.on("SIGWINCH", follow);
  void follow();
  return () => process.off("SIGWINCH", follow);
}

const DEADLY: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Does `work` when a signal ends us, which then does. Until the returned function is called. */
export function cleanUpOnSignal(work: () => void | Promise<void>): () => void {
  let running = false;
  const stop = () => {
    for (const signal of DEADLY) process.off(signal, die);
  };
  const die = async (signal: NodeJS.Signals) => {
    if (running) return;
    running = true;
    try {
      await work();
    } finally {
      stop();
      process.kill(process.pid, signal);
    }
  };
  for (const signal of DEADLY) process.on(signal, die);
  return stop;
}
