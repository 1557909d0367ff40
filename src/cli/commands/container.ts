import type { CommandGroup } from "../command-table.ts";
import { COMMANDS } from "../commands.ts";

/** Most of its commands have a shorter name of their own. */
const { attach, commit, cp, create, diff, exec, kill, logs, pause, port, ps, rename } = COMMANDS;
const { restart, rm, run, start, stats, stop, top, unpause, update, wait } = COMMANDS;
const load = { inspect: () => import("./container-inspect.ts"), prune: () => import("./container-prune.ts") };

export const group: CommandGroup = {
  name: "container",
  summary: "Manage containers",
  commands: {
    attach,
    commit,
    cp,
    create,
    diff,
    exec,
    export: COMMANDS.export,
    inspect: { summary: "Display detailed information on containers", load: load.inspect },
    kill,
    logs,
    ls: ps,
    list: { ...ps, hidden: true },
    ps: { ...ps, hidden: true },
    pause,
    port,
    prune: { summary: "Remove all stopped containers", load: load.prune },
    rename,
    restart,
    rm,
    remove: { ...rm, hidden: true },
    run,
    start,
    stats,
    stop,
    top,
    unpause,
    update,
    wait,
  },
};
