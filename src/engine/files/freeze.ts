/** Freezes a container's processes while somebody looks at its files. */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { writePoint } from "../../base/write-point.ts";
import { CGROUP_GONE, detectCgroupHost, freezeCgroup, isFrozen, thawCgroup } from "../../linux/cgroup/mod.ts";
import { cgroupsPathOf } from "../config/mod.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";

/** Returns the path of the marker, which is written before the cgroup is frozen: a daemon that finds it has to thaw. */
function markerPath(engine: Engine, { id }: Container): string {
  return join(engine.paths.runDirectory(id), "frozen");
}

/**
 * Freezes the container until the result is disposed of. One that does not run, or was frozen before, is left as it is.
 * @throws LighterError like `freezeCgroup`
 */
export async function freezeContainer(engine: Engine, container: Container): Promise<Disposable> {
  const cgroupsPath = cgroupsPathOf(container.record);
  const host = detectCgroupHost();
  if (!container.isRunning || isFrozen(host, cgroupsPath)) return { [Symbol.dispose]() {} };
  const marker = markerPath(engine, container);
  const thaw = () => {
    if (!container.record.paused) thawCgroup(host, cgroupsPath); // else somebody paused it meanwhile
    rmSync(marker, { force: true });
  };
  writeFileSync(marker, "");
  writePoint("freeze container");
  try {
    await freezeUnlessGone(() => freezeCgroup(host, cgroupsPath));
  } catch (error) {
    thaw();
    throw error;
  }
  writePoint("froze container");
  return { [Symbol.dispose]: thaw };
}

/** Runs `freeze`; a container that has ended meanwhile is no error. */
export async function freezeUnlessGone(freeze: () => Promise<void>): Promise<void> {
  try {
    await freeze();
  } catch (error) {
    // A cgroup that has gone has no processes: the container has ended.
    const errno = error instanceof LighterError ? error.detail.errno : errnoOf(error);
    if (!CGROUP_GONE.includes(errno ?? "")) throw error;
  }
}

/** Thaws what an earlier daemon had frozen when it died. */
export function thawLeftFrozen(engine: Engine): void {
  for (const container of engine.list()) {
    const marker = markerPath(engine, container);
    if (!existsSync(marker)) continue;
    if (!container.record.paused) thawCgroup(detectCgroupHost(), cgroupsPathOf(container.record));
    rmSync(marker, { force: true });
  }
}
