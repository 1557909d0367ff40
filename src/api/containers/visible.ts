/** Which containers lists show: all, or all but those of pods. */
import type { Container } from "../../engine/mod.ts";
import type { Daemon } from "../daemon/daemon-state.ts";

/** The containers that lists, counts and disk usage show, newest first. A hidden one is still found by its name and id. */
export function visibleContainers({ engine, settings }: Pick<Daemon, "engine" | "settings">): Container[] {
  const all = engine.list();
  return settings.hidesPods ? all.filter(({ record }) => record.pod === undefined) : all;
}
