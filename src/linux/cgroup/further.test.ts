import { expect, test } from "bun:test";
import { directoryForFurther } from "./further.ts";

const v2 = { mountPoint: "/cg", mountRoot: "/", ownPath: "/", controllers: [], isHierarchyRoot: true };

test.each([
  ["its own cgroup, if that hands nothing down", {}, "/", "/cg/a"],
  ["where the process is", { "/cg/a/cgroup.subtree_control": "memory", "/proc/7/cgroup": "0::/a/b" }, "/", "/cg/a/b"],
  [
    "above its threads",
    {
      "/cg/a/cgroup.subtree_control": "cpu",
      "/proc/7/cgroup": "0::/a/b/c",
      "/cg/a/b/c/cgroup.type": "threaded\n",
      "/cg/a/b/cgroup.type": "domain threaded\n",
    },
    "/",
    "/cg/a/b",
  ],
  [
    "below a mount of a part",
    { "/cg/a/cgroup.subtree_control": "cpu", "/proc/7/cgroup": "0::/host/a/b" },
    "/host",
    "/cg/a/b",
  ],
  [
    "its own cgroup, if the process is elsewhere",
    { "/cg/a/cgroup.subtree_control": "cpu", "/proc/7/cgroup": "0::/else" },
    "/",
    "/cg/a",
  ],
  ["its own cgroup, if the process has gone", { "/cg/a/cgroup.subtree_control": "cpu" }, "/", "/cg/a"],
] as [string, Record<string, string>, string, string][])(
  "a further process is born in %s",
  (_, files, mountRoot, expected) => {
    expect(directoryForFurther({ ...v2, mountRoot }, "/cg/a", 7, (path) => files[path])).toBe(expected);
  },
);
