/** Removes stopped containers. */
import { LighterError } from "../../base/errors.ts";
import { type Container, removeContainer } from "../../engine/mod.ts";
import { Filters } from "../http/filters.ts";
import { sendJson } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";
import { publishPrune } from "../images/image-events.ts";
import { isBefore, parseUntil } from "../images/image-filters.ts";
import { measureContainers } from "../system/measure.ts";

/** POST /containers/prune: removes containers that do not run, but none of a pod: these are kubelet's to remove. */
export async function pruneContainers({ daemon, query, response }: AnswerCall): Promise<void> {
  const filters = Filters.parse(query.text("filters"), ["label", "label!", "until"]);
  const until = parseUntil(filters.get("until"));
  const isWanted = ({ isActive, record }: Container) =>
    !isActive &&
    record.pod === undefined &&
    isBefore(record.createdAt, until) &&
    filters.matchesLabels(record.config.Labels ?? {});
  const deleted: string[] = [];
  let bytes = 0;
  const wanted = daemon.engine.list().filter(isWanted);
  const sizes = await measureContainers(daemon, wanted);
  for (const [index, container] of wanted.entries()) {
    try {
      await removeContainer(daemon.engine, container, { force: false, volumes: false });
    } catch (error) {
      // The container was started meanwhile, or is being removed by another request.
      if (error instanceof LighterError && error.code === "conflict") continue;
      throw error;
    }
    deleted.push(container.id);
    bytes += Math.max(sizes[index]!.SizeRw, 0);
  }
  publishPrune(daemon, "container", bytes);
  sendJson(response, 200, { ContainersDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: bytes });
}
