/** Changes a live cgroup's limits so that the change can be undone. */
import { messageOf } from "../../base/errors.ts";
import { type ReadText, readHostText } from "./host.ts";
import { applyCgroupWrites } from "./setup.ts";
import type { CgroupWrite } from "./write-list.ts";

/**
 * Does what `applyCgroupWrites` does, but restores the files if one of the writes fails, and throws that failure.
 * @returns a function that restores the files, for when something else fails later; it returns warnings for what it could not
 * restore
 * @throws LighterError as `applyCgroupWrites`
 */
export function applyReversibly(
  writes: readonly CgroupWrite[],
  warn: (message: string) => void,
  read: ReadText = readHostText,
): () => void {
  const undo: CgroupWrite[] = [];
  const putBack = () => {
    for (const write of undo.splice(0).reverse()) {
      try {
        applyCgroupWrites([write]);
      } catch (error) {
        warn(`the old value is lost: ${messageOf(error)}`);
      }
    }
  };
  try {
    for (const write of writes) {
      const before = read(write.file);
      applyCgroupWrites([write]);
      const value = before === undefined ? undefined : valueBefore(write, before);
      if (value !== undefined) undo.push({ file: write.file, value, why: write.why });
    }
  } catch (error) {
    putBack();
    throw error;
  }
  return putBack;
}

/**
 * The text to write so that the file reads `before` again, as far as `write` changed it, or undefined if nothing can do that. A
 * file of limits per device holds a line for each device that has one.
 */
export function valueBefore({ file, value }: CgroupWrite, before: string): string | undefined {
  const name = file.slice(file.lastIndexOf("/") + 1);
  const lines = before.split("\n").filter((line) => line !== "");
  if (name === "memory.oom_control") return /^oom_kill_disable (\d)$/m.exec(before)?.[1];
  const key =
    /^\d+:\d+ /.exec(value)?.[0] ??
    (/^(rdma\.max|net_prio\.ifpriomap)$/.test(name) ? /^\S+ /.exec(value)?.[0] : undefined);
  if (key === undefined) {
    // io.weight says "default 100" for the weight of all devices without one of their own.
    const [first] = lines;
    return first ?? (name.startsWith("cpuset.") ? "\n" : undefined);
  }
  const line = lines.find((each) => each.startsWith(key));
  if (line !== undefined) return line;
  if (name === "io.max") return `${key}rbps=max wbps=max riops=max wiops=max`;
  if (name.startsWith("blkio.throttle.")) return `${key}0`;
  return name.includes("weight") ? `${key}default` : undefined;
}
