import type { CommandGroup } from "../command-table.ts";

const load = {
  ls: () => import("./ps.ts"),
  rm: () => import("./rm.ts"),
};

export const group: CommandGroup = {
  name: "container",
  summary: "Manage containers",
  commands: {
    attach: { summary: "Attach to a running container", load: () => import("./attach.ts") },
    commit: { summary: "Create a new image from a container's changes", load: () => import("./commit.ts") },
    cp: { summary: "Copy files between a container and this machine", load: () => import("./cp.ts") },
    create: { summary: "Create a new container", load: () => import("./create.ts") },
    diff: { summary: "Show what changed in a container's file system", load: () => import("./diff.ts") },
    exec: { summary: "Execute a command in a running container", load: () => import("./exec.ts") },
    export: {
      summary: "Export a container's file system as a tar archive",
      load: () => import("./export.ts"),
    },
    inspect: {
      summary: "Display detailed information on containers",
      load: () => import("./container-inspect.ts"),
    },
    kill: { summary: "Kill one or more running containers", load: () => import("./kill.ts") },
    logs: { summary: "Fetch the logs of a container", load: () => import("./logs.ts") },
    ls: { summary: "List containers", load: load.ls },
    list: { summary: "", load: load.ls, hidden: true },
    ps: { summary: "", load: load.ls, hidden: true },
    pause: { summary: "Pause all processes of containers", load: () => import("./pause.ts") },
    port: { summary: "List the published ports of a container", load: () => import("./port.ts") },
    prune: { summary: "Remove all stopped containers", load: () => import("./container-prune.ts") },
    rename: { summary: "Rename a container", load: () => import("./rename.ts") },
    restart: { summary: "Restart one or more containers", load: () => import("./restart.ts") },
    rm: { summary: "Remove one or more containers", load: load.rm },
    remove: { summary: "", load: load.rm, hidden: true },
    run: { summary: "Create and run a new container from an image", load: () => import("./run.ts") },
    start: { summary: "Start one or more stopped containers", load: () => import("./start.ts") },
    stats: { summary: "Show what containers use, again and again", load: () => import("./stats.ts") },
    stop: { summary: "Stop one or more running containers", load: () => import("./stop.ts") },
    top: { summary: "Display the running processes of a container", load: () => import("./top.ts") },
    unpause: { summary: "Let paused containers go on", load: () => import("./unpause.ts") },
    update: { summary: "Change the limits of containers", load: () => import("./update.ts") },
    wait: {
      summary: "Block until containers stop, then print their exit codes",
      load: () => import("./wait.ts"),
    },
  },
};
