/** Asks the kernel about a machine's init, and the init to shut down. */
import { readFileSync, readlinkSync } from "node:fs";
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { type InitFacts, shutdownCommand, shutdownSignal } from "../../machine/mod.ts";
import { isMachine } from "../config/mod.ts";
import type { Container } from "../container.ts";
import type { Exec } from "./exec.ts";
import type { Execs } from "./execs.ts";

/** Returns the signal at which a running machine shuts down; undefined for other containers, and for one that has ended. */
export function signalOfInit(container: Container): number | undefined {
  const facts = factsOf(container);
  return facts && shutdownSignal(facts);
}

function factsOf({ record }: Container): InitFacts | undefined {
  if (!isMachine(record.hostConfig) || record.pid === 0) return undefined;
  const directory = `/proc/${record.pid}`;
  try {
    const executable = readlinkSync(`${directory}/exe`);
    return { executable, status: readFileSync(`${directory}/status`, "utf8") };
  } catch {
    return undefined; // it has ended meanwhile
  }
}

/**
 * Has a machine shut down by a program of its own, if its init is one that no signal tells to. Returns whether that has started;
 * should it fail, `otherwise` is called.
 */
export async function shutDownByCommand(
  execs: Execs,
  container: Container,
  otherwise: () => Promise<unknown>,
): Promise<boolean> {
  const facts = factsOf(container);
  const command = facts && shutdownCommand(facts);
  if (command === undefined) return false;
  let exec: Exec | undefined;
  try {
    exec = execs.create(container, { ...UNSEEN, Cmd: command });
    await execs.start(exec, undefined, undefined);
  } catch (error) {
    log.warn(`stop ${container.id}: ${command[0]}: ${messageOf(error)}`);
    if (exec !== undefined) execs.forget(exec);
    return false;
  }
  const { end } = exec;
  end.then((exitCode) => {
    execs.forget(exec);
    if (exitCode !== 0) otherwise().catch(() => {}); // the machine has ended
  });
  return true;
}

const UNSEEN = {
  attachStdin: false,
  attachStdout: false,
  attachStderr: false,
  detachKeys: "",
  isProbe: true,
  User: "0",
};
