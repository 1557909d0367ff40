/** Signals and window sizes that reach the command and belong to the container. */
import { FORWARDED_SIGNALS } from "../../base/signals.ts";
import type { Client } from "../http/client.ts";

/**
 * Forwards signals to the container's process until the returned function is called. While the container is still being
 * created (`container` is a promise of its ID) there is nothing to forward to: the first signal ends us, as it would
 * without this. With a terminal, WINCH is left out: the container's own terminal, which follows ours in size, sends it.
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
    // The process has not started or has just ended. The stock client drops such signals too.
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
 * Keeps the size of a container's or exec's terminal equal to ours until the returned function is called. `path` is the
 * resize route. `redraws` makes the program draw its screen even if the size is the same.
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
      // Another size comes first only to make a change: a program whose terminal has this size already would not
      // redraw.
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

/** Does `work` when a signal is about to end us, until the returned function is called. */
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
