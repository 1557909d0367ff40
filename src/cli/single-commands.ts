/** The commands outside groups, each loaded on demand. */
import type { CommandTable } from "./command.ts";
import { command as run } from "./commands/run.ts";

/**
 * Commands that belong to no group; groups list them under other names, too. `run`, which has to be fastest, is loaded
 * at once.
 */
export const SINGLE_COMMANDS = {
  run: { summary: "Create and run a new container from an image", load: async () => ({ command: run }) },
  exec: { summary: "Execute a command in a running container", load: () => import("./commands/exec.ts") },
  ps: { summary: "List containers", load: () => import("./commands/ps.ts") },
  pull: { summary: "Download an image from a registry", load: () => import("./commands/pull.ts") },
  push: { summary: "Upload an image to a registry", load: () => import("./commands/push.ts") },
  images: { summary: "List images", load: () => import("./commands/images.ts") },
  login: { summary: "Log in to a registry", load: () => import("./commands/login.ts") },
  logout: { summary: "Log out from a registry", load: () => import("./commands/logout.ts") },
  search: { summary: "Search a registry for images", load: () => import("./commands/search.ts") },
  load: { summary: "Load an image from a tar archive or stdin", load: () => import("./commands/load.ts") },
  daemon: { summary: "Serve the API, and keep containers and images", load: () => import("./commands/daemon.ts") },
  dashboard: {
    summary: "Open a page that shows containers, images and the host",
    load: () => import("./commands/dashboard.ts"),
  },
  explain: {
    summary: "Print the system calls that would start a container",
    load: () => import("./commands/explain.ts"),
  },
  attach: { summary: "Attach to a running container", load: () => import("./commands/attach.ts") },
  build: { summary: "Build an image from a Dockerfile", load: () => import("./commands/build.ts") },
  commit: {
    summary: "Create a new image from a container's changes",
    load: () => import("./commands/commit.ts"),
  },
  completion: {
    summary: "Print a script that completes words in a shell",
    load: () => import("./commands/completion.ts"),
  },
  cp: { summary: "Copy files between a container and this machine", load: () => import("./commands/cp.ts") },
  create: { summary: "Create a new container", load: () => import("./commands/create.ts") },
  diff: { summary: "Show what changed in a container's file system", load: () => import("./commands/diff.ts") },
  events: { summary: "Show what happens in the daemon, as it happens", load: () => import("./commands/events.ts") },
  export: {
    summary: "Export a container's file system as a tar archive",
    load: () => import("./commands/export.ts"),
  },
  history: { summary: "Show the history of an image", load: () => import("./commands/history.ts") },
  import: { summary: "Create an image from a tar archive of files", load: () => import("./commands/import.ts") },
  info: { summary: "Display system-wide information", load: () => import("./commands/info.ts") },
  inspect: { summary: "Return low-level information on objects", load: () => import("./commands/inspect.ts") },
  kill: { summary: "Kill one or more running containers", load: () => import("./commands/kill.ts") },
  logs: { summary: "Fetch the logs of a container", load: () => import("./commands/logs.ts") },
  pause: { summary: "Pause all processes of containers", load: () => import("./commands/pause.ts") },
  port: { summary: "List the published ports of a container", load: () => import("./commands/port.ts") },
  rename: { summary: "Rename a container", load: () => import("./commands/rename.ts") },
  restart: { summary: "Restart one or more containers", load: () => import("./commands/restart.ts") },
  rm: { summary: "Remove one or more containers", load: () => import("./commands/rm.ts") },
  rmi: { summary: "Remove one or more images", load: () => import("./commands/rmi.ts") },
  save: { summary: "Save one or more images to a tar archive", load: () => import("./commands/save.ts") },
  start: { summary: "Start one or more stopped containers", load: () => import("./commands/start.ts") },
  stats: { summary: "Show what containers use, again and again", load: () => import("./commands/stats.ts") },
  stop: { summary: "Stop one or more running containers", load: () => import("./commands/stop.ts") },
  tag: {
    summary: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    load: () => import("./commands/tag.ts"),
  },
  top: {
    summary: "Display the running processes of a container, or what all containers use",
    load: () => import("./commands/top.ts"),
  },
  unpause: { summary: "Let paused containers go on", load: () => import("./commands/unpause.ts") },
  update: { summary: "Change the limits of containers", load: () => import("./commands/update.ts") },
  version: { summary: "Show version information", load: () => import("./commands/version.ts") },
  wait: {
    summary: "Block until containers stop, then print their exit codes",
    load: () => import("./commands/wait.ts"),
  },
} satisfies CommandTable;
