/**
 * The commands of the program, in the order of `lighter --help`: the most used ones, then the groups, then the others.
 */
import type { CommandTable } from "./command.ts";
import { SINGLE_COMMANDS } from "./single-commands.ts";

const { run, exec, ps, pull, push, images, login, logout, search, ...others } = SINGLE_COMMANDS;

export const COMMANDS = {
  run,
  exec,
  ps,
  pull,
  push,
  images,
  login,
  logout,
  search,
  image: { summary: "Manage images", load: () => import("./commands/image.ts") },
  builder: { summary: "Manage the cache of builds", load: () => import("./commands/builder.ts") },
  context: {
    summary: "Look at Docker's contexts, which --context chooses from",
    load: () => import("./commands/context.ts"),
  },
  container: { summary: "Manage containers", load: () => import("./commands/container.ts") },
  machine: { summary: "Manage machines", load: () => import("./commands/machine.ts") },
  manifest: { summary: "Look at manifests and indexes in registries", load: () => import("./commands/manifest.ts") },
  network: { summary: "Manage networks", load: () => import("./commands/network.ts") },
  system: { summary: "Manage the daemon", load: () => import("./commands/system.ts") },
  volume: { summary: "Manage volumes", load: () => import("./commands/volume.ts") },
  ...others,
  __complete: { summary: "", load: () => import("./commands/complete.ts"), hidden: true },
} satisfies CommandTable;
