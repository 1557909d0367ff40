/** A process whose end we wait for: signals go to it, and with a terminal of its own its bytes go through us. */
import type { Socket } from "node:net";
import { FORWARDED_SIGNALS, SIGNALS } from "../base/signals.ts";
import { readWindowSize, setRawMode } from "../linux/sys/tty.ts";
import type { AttachPlan, Supervised } from "../runtime/mod.ts";
import { writeAll } from "./output.ts";

/** What `terminal` processes of a foreground command are started with. */
export const TERMINAL_ATTACH: AttachPlan = { stdin: true, stdout: true, stderr: true, closeStdinOnEnd: false };

/** Its exit code, 128 + n for signal n. */
export async function waitInForeground(supervised: Supervised): Promise<number> {
  const [terminal] = supervised.attached;
  const stopForwarding = forwardSignals(supervised, terminal !== undefined);
  const restore = terminal === undefined ? () => {} : relayTerminal(supervised, terminal);
  try {
    const { exitCode } = await supervised.exited;
    await supervised.gone;
    return exitCode;
  } finally {
    restore();
    stopForwarding();
  }
}

function forwardSignals(supervised: Supervised, terminal: boolean): () => void {
  const signals: readonly NodeJS.Signals[] = terminal ? FORWARDED_SIGNALS : [...FORWARDED_SIGNALS, "SIGWINCH"];
  const forward = (name: NodeJS.Signals) => {
    const signal = SIGNALS[name.replace(/^SIG/, "")];
    if (signal !== undefined) supervised.signal(signal).catch(() => {}); // it has just ended
  };
  for (const signal of signals) process.on(signal, forward);
  return () => {
    for (const signal of signals) process.off(signal, forward);
  };
}

/** Our terminal, if we have one, is raw until the returned function is called. */
function relayTerminal(supervised: Supervised, terminal: Socket): () => void {
  const restore = setRawMode(0);
  const resize = () => {
    const size = readWindowSize(0);
    if (size !== undefined) supervised.resize(size.rows, size.columns).catch(() => {}); // it has just ended
  };
  resize();
  process.on("SIGWINCH", resize);
  terminal.on("error", () => {});
  terminal.on("data", (bytes: Buffer) => writeAll(1, bytes));
  const input = (bytes: Buffer) => void terminal.write(bytes);
  process.stdin.on("data", input);
  process.stdin.once("end", () => terminal.end());
  return () => {
    process.off("SIGWINCH", resize);
    process.stdin.off("data", input);
    restore();
  };
}
