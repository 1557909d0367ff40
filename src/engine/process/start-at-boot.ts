/** Starts containers when a daemon begins. */
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { ZERO_TIME } from "../../base/time.ts";
import { type Ending, endingOf } from "../../machine/mod.ts";
import { isMachine, peerReferences } from "../config/mod.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { startContainer } from "../life/run.ts";
import type { ContainerRecord } from "../state/record.ts";
import { wantsStartAtBoot } from "./restarts.ts";

/** The first of the exit codes of processes that a signal has ended. */
const SIGNAL_EXIT = 128;

/**
 * Starts the containers that should run by their restart policy and do not: after a reboot, or the death of a daemon over a
 * restart.
 */
export function startAtBoot(engine: Engine): void {
  const wanted = engine.list().reverse().filter(isWanted);
  // A container that shares another's namespaces needs that one to run.
  const hasPeers = ({ record }: Container) =>
    Object.values(peerReferences(record.hostConfig)).some((ref) => ref !== undefined);
  const start = async () => {
    await Promise.all(
      wanted.filter((container) => !hasPeers(container)).map((container) => startOne(engine, container)),
    );
    for (const container of wanted.filter(hasPeers)) await startOne(engine, container);
  };
  engine.inBackground("start containers", start());
}

function isWanted({ isActive, record }: Container): boolean {
  if (isActive || record.startedAt === ZERO_TIME) return false;
  const ending = endingInRow(record);
  if (ending === "poweroff" && record.manuallyStopped) return false;
  if (ending === "reboot" && !record.manuallyStopped) return true;
  return wantsStartAtBoot(record.hostConfig.RestartPolicy, record);
}

/** Tells how a machine ended: off stays off, and a reboot over which a daemon died goes on. */
function endingInRow({ hostConfig, exitCode }: ContainerRecord): Ending | undefined {
  return isMachine(hostConfig) ? endingOf(exitCode - SIGNAL_EXIT) : undefined;
}

async function startOne(engine: Engine, container: Container): Promise<void> {
  try {
    await startContainer(engine, container);
  } catch (error) {
    log.error(`start container ${container.id}: ${messageOf(error)}`);
  }
}
