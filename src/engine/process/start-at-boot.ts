import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { ZERO_TIME } from "../../base/time.ts";
import { peerReferences } from "../config/mod.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { wantsStartAtBoot } from "./restarts.ts";

/** Starts what should run by its restart policy and does not: after a reboot, or the death of a daemon over a restart. */
export function startAtBoot(engine: Engine): void {
  const wanted = engine.list().reverse().filter(isWanted);
  // One that shares another's namespaces needs that one to run.
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
  return !isActive && record.startedAt !== ZERO_TIME && wantsStartAtBoot(record.hostConfig.RestartPolicy, record);
}

async function startOne(engine: Engine, container: Container): Promise<void> {
  try {
    await engine.start(container);
  } catch (error) {
    log.error(`start container ${container.id}: ${messageOf(error)}`);
  }
}
