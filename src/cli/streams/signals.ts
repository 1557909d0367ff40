import { FORWARDED_SIGNALS } from "../../base/signals.ts";
import type { Client } from "../http/client.ts";

/**
 * Passes signals that reach us on to the container's process, until the returned function is called. A container that
 * is still being created (a promise of its ID) is nobody to signal: the first signal ends us, as it would without this.
 * With a terminal WINCH is left out: the container's own terminal, which follows ours in size, sends it.
 */
export function forwardSignals(client: Client, container: string | Promise<string>, tty: boolean): () => void {
  const signals: readonly NodeJS.Signals[] = tty ? FORWARDED_SIGNALS : [...FORWARDED_SIGNALS, "SIGWINCH"];
  let id = typeof container === "string" ? container : undefined;
  const forward = (signal: NodeJS.Signals) => {
    if (id === undefined) {
      stop();
      process.kill(process.pid, signal);
      return;
    }
    // Not started yet, or just ended: nobody to signal. The stock client drops these too.
    client.postEmpty(`/containers/${id}/kill`, { signal: signal.replace(/^SIG/, "") }).catch(() => {});
  };
  const stop = () => {
    for (const signal of signals) process.off(signal, forward);
  };
  for (const signal of signals) process.on(signal, forward);
  if (typeof container !== "string")
    container.then((created) => {
      id = created;
    }, stop);
  return stop;
}

async function resize(client: Client, path: string, rows: number, columns: number): Promise<void> {
  // An error means that the process has just ended.
  await client.postEmpty(path, { h: String(rows), w: String(columns) }).catch(() => {});
}

/**
 * Keeps the size of a container's or exec's terminal that of ours, now and at every change, until the returned function
 * is called. `path` is the resize route. `redraws`: what is there already shows itself, as after a change.
 */
export async function followWindowSize(client: Client, path: string, redraws = false): Promise<() => void> {
  const { readWindowSize } = await import("../../linux/sys/tty.ts");
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
      // Another size first, of no use but that it is another: what has this one already would not draw its prompt anew.
      if (redraws) await resize(client, path, size.rows + 1, size.columns + 1);
      redraws = false;
      await resize(client, path, size.rows, size.columns);
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
