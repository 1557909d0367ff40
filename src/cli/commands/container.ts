import type { CommandGroup } from "../command.ts";
import { SINGLE_COMMANDS } from "../single-commands.ts";

/** The group `container`. Most of its commands also exist at the top level. */
const { attach, commit, cp, create, diff, exec, kill, logs, pause, port, ps, rename } = SINGLE_COMMANDS;
const { restart, rm, run, start, stats, stop, top, unpause, update, wait } = SINGLE_COMMANDS;
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
    export: SINGLE_COMMANDS.export,
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
