/** A session at a machine's console, which goes on over the machine's reboots and the daemon's restarts. */
import { DetachScanner, parseDetachKeys } from "../../base/detach-keys.ts";
import { readWindowSize, setRawMode } from "../../linux/sys/tty.ts";
import { ApiError, CliError } from "../exit.ts";
import type { Client } from "../http/client.ts";
import type { Response } from "../http/http.ts";
import { followWindowSize } from "../streams/signals.ts";
import { copyOutput, requestAttach } from "../streams/stream.ts";
import { inputIsTerminal } from "../streams/tty-check.ts";
import { type InspectedMachine, inspectMachine } from "./machine.ts";

/** How long a daemon that has gone, or a machine that reboots, is waited for. */
const RETURN_MS = 60_000;
const ASK_AGAIN_MS = 250;
const DEFAULT_ROWS = 24;

/**
 * Connects our terminal to a machine's console, until the detach keys are typed or the machine is off. It begins with the last
 * lines that the console has shown, a screenful. Without a terminal it only shows what the console shows from now on.
 * @throws CliError for keys that are none
 */
export async function useConsole(
  client: Client,
  machine: InspectedMachine,
  detachKeys: string,
): Promise<"detached" | "off"> {
  const keys = parseDetachKeys(detachKeys);
  if (keys === undefined) throw new CliError(`invalid detach keys "${detachKeys}"`);
  using keyboard = inputIsTerminal() ? new Keyboard(keys) : undefined;
  let tail = keyboard && screenful();
  do {
    if ((await attachOnce(client, machine, { detachKeys, tail }, keyboard)) === "detached") return "detached";
    tail = undefined;
  } while (await comesBack(client, machine.Id));
  return "off";
}

/** The lines of a screen, without the one that the cursor is in. */
function screenful(): number {
  return Math.max(1, (readWindowSize(1)?.rows || DEFAULT_ROWS) - 1);
}

async function attachOnce(
  client: Client,
  { Id, Config }: InspectedMachine,
  { detachKeys, tail }: { detachKeys: string; tail: number | undefined },
  keyboard: Keyboard | undefined,
): Promise<"detached" | "ended"> {
  const shown = tail === undefined ? {} : { tail };
  const streams = { stdin: keyboard !== undefined, stdout: true, stderr: true, detachKeys, ...shown };
  const response = await attach(client, Id, streams);
  if (response === undefined) return "ended";
  keyboard?.begin();
  const stopFollowing = await followWindowSize(client, `/containers/${Id}/resize`, true);
  // A daemon that was killed breaks the connection off.
  const output = copyOutput(response, Config.Tty).then(
    () => "ended" as const,
    () => "ended" as const,
  );
  try {
    return keyboard === undefined ? await output : await keyboard.typeInto(response, output);
  } finally {
    stopFollowing();
    response.connection.close();
  }
}

/** Returns undefined if the machine has ended meanwhile, or the daemon. */
async function attach(
  client: Client,
  id: string,
  streams: Parameters<typeof requestAttach>[2],
): Promise<Response | undefined> {
  try {
    return await requestAttach(client, id, streams);
  } catch (error) {
    if (error instanceof ApiError && error.status !== 409) throw error;
    return undefined;
  }
}

/** Waits until a machine can be attached to once more; false if it is off. */
async function comesBack(client: Client, id: string): Promise<boolean> {
  for (const deadline = Date.now() + RETURN_MS; ; await Bun.sleep(ASK_AGAIN_MS)) {
    try {
      const { State } = await inspectMachine(client, id);
      if (State.Status === "running") return true;
      if (!State.Running) return false;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return false; // it was removed
      if (error instanceof ApiError || error instanceof CliError || Date.now() > deadline) throw error;
    }
    if (Date.now() > deadline) return false;
  }
}

/** Our terminal's input, which outlives connections: what is typed between two of them goes to the next. */
class Keyboard implements Disposable {
  readonly #reader = Bun.stdin.stream().getReader();
  readonly #scanner: DetachScanner;
  #restore: (() => void) | undefined;
  #next: Promise<Uint8Array | undefined> | undefined;

  constructor(detachKeys: Uint8Array) {
    this.#scanner = new DetachScanner(detachKeys);
  }

  /** Hands every key on from now on, also those that mean something to our terminal. */
  begin(): void {
    this.#restore ??= setRawMode(0);
  }

  [Symbol.dispose](): void {
    this.#restore?.();
  }

  /** Passes on what is typed, until the output has ended or the detach keys are typed. */
  async typeInto(response: Response, output: Promise<"ended">): Promise<"detached" | "ended"> {
    for (;;) {
      this.#next ??= this.#reader.read().then(({ value }) => value);
      const got = await Promise.race([output, this.#next]);
      if (got === "ended") return got;
      this.#next = undefined;
      if (got === undefined) return output; // the terminal has gone
      const { output: bytes, detached } = this.#scanner.push(got);
      try {
        if (bytes.length > 0) await response.connection.write(bytes);
      } catch {
        return output; // the connection has gone
      }
      if (detached) return "detached";
    }
  }
}
