import type { CommandGroup } from "../command.ts";
import { forMachines } from "../machines/machine.ts";
import { SINGLE_COMMANDS } from "../single-commands.ts";

const { exec, logs, restart, rm, start, stop } = SINGLE_COMMANDS;
const ls = { summary: "List machines", load: () => import("./machine-ls.ts") };
const remove = forMachines(rm, "Remove one or more machines", "all");

export const group: CommandGroup = {
  name: "machine",
  summary: "Manage machines",
  commands: {
    console: { summary: "Use a machine's console", load: () => import("./machine-console.ts") },
    create: { summary: "Create a new machine", load: () => import("./machine-create.ts") },
    edit: {
      summary: "Change a machine's limits, restart policy or name",
      load: () => import("./machine-edit.ts"),
    },
    exec: forMachines(exec, "Execute a command in a running machine", "first"),
    import: {
      summary: "Create an image for machines from one of Incus or LXC, or from a root file system",
      load: () => import("./machine-import.ts"),
    },
    launch: {
      summary: "Create a machine, start it, and on a terminal open a shell in it when it runs",
      load: () => import("./machine-launch.ts"),
    },
    logs: forMachines(logs, "Fetch what a machine's console has shown", "all"),
    ls,
    list: { ...ls, hidden: true },
    restart: forMachines(restart, "Restart one or more machines", "all"),
    rm: remove,
    remove: { ...remove, hidden: true },
    shell: {
      summary: "Open a login shell in a running machine, or run a command in one",
      load: () => import("./machine-shell.ts"),
    },
    start: forMachines(start, "Start one or more machines", "all"),
    stop: forMachines(stop, "Stop one or more machines", "all"),
  },
};
