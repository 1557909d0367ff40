/** The ops that the launcher plays when the process has ended, or its start has failed. */
import { OpList } from "../../linux/program/builder.ts";
import { removeCgroup } from "../cgroup.ts";
import { removeRdtGroup } from "../intel-rdt.ts";
import { letGoOfRoot } from "../mounts/root.ts";
import type { StartPlan } from "./plan.ts";

export function cleanupOps({ request, networking, ownCgroup, rdt, holdsRoot }: StartPlan): OpList {
  const ops = new OpList("cleanup");
  if (request.network) networking?.unplugNetwork(ops, request.network);
  if (ownCgroup && !request.keepCgroup) removeCgroup(ops, ownCgroup.plan);
  removeRdtGroup(ops, rdt);
  if (holdsRoot) letGoOfRoot(ops);
  return ops;
}
