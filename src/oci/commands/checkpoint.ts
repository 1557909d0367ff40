import { isAbsolute } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { locateController } from "../../linux/cgroup/mod.ts";
import { cgroupHost } from "../cgroup.ts";
import type { OciCommand } from "../command.ts";
import {
  CRIU_FLAGS,
  criuOptions,
  externalMounts,
  externalNamespaces,
  noteDescriptors,
  refuseUncheckpointable,
  runCriu,
} from "../criu.ts";
import type { Parsed } from "../flags.ts";
import { destroy } from "../lifecycle.ts";
import { lockState, type StateHandle, statusOf } from "../state.ts";

export const command: OciCommand = {
  name: "checkpoint",
  usage: "[command options] <container-id>",
  summary: "checkpoint a running container",
  flags: [
    ...CRIU_FLAGS,
    { name: "parent-path", kind: "string", help: "image files of an earlier --pre-dump, relative to --image-path" },
    { name: "leave-running", kind: "boolean", help: "let the container go on" },
    { name: "pre-dump", kind: "boolean", help: "dump the memory only, and let the container go on" },
    { name: "page-server", kind: "string", help: "ADDRESS:PORT of the page server" },
    { name: "status-fd", kind: "integer", help: "CRIU writes a NUL to this fd when --lazy-pages is ready" },
  ],
  positionals: { min: 1, max: 1 },
  async run(context, parsed) {
    using handle = lockState(context.root, parsed.arg(0));
    const status = statusOf(handle);
    if (status !== "running" && status !== "paused")
      throw new LighterError("conflict", `Container cannot be checkpointed in ${status} state`);
    refuseUncheckpointable(handle.config);
    const preDump = parsed.boolean("pre-dump");
    const { options, paths } = criuOptions(parsed, "dump.log");
    const statusFd = parsed.integer("status-fd") ?? -1;
    const args = [...options, ...dumpOptions(handle, parsed), ...(statusFd < 0 ? [] : ["--status-fd", "3"])];
    if (!preDump) {
      args.push(...externalNamespaces(handle.config), ...externalMounts(handle.state.pid, paths.images));
      noteDescriptors(handle.state.pid, paths.images);
    }
    await runCriu(context, preDump ? "pre-dump" : "dump", args, paths.log, statusFd < 0 ? [] : [statusFd]);
    if (!preDump && !parsed.boolean("leave-running")) await destroy(context, handle);
    return 0;
  },
};

function dumpOptions({ state }: StateHandle, parsed: Parsed): string[] {
  const options = ["--tree", String(state.pid), "--root", state.rootfs];
  if (state.cgroupsPath !== "") {
    const host = cgroupHost();
    const mountPoint = locateController(host, "freezer")?.mountPoint ?? host.v2?.mountPoint;
    if (mountPoint !== undefined) options.push("--freeze-cgroup", `${mountPoint}${state.cgroupsPath}`);
  }
  if (parsed.boolean("leave-running")) options.push("--leave-running");
  const parent = parsed.string("parent-path");
  if (parent !== undefined) {
    if (isAbsolute(parent)) throw new LighterError("invalid", "--parent-path must be relative to --image-path");
    options.push("--prev-images-dir", parent);
  }
  if (parent !== undefined || parsed.boolean("pre-dump")) options.push("--track-mem");
  const server = parsed.string("page-server");
  if (server !== undefined) {
    const [, address, port] = /^(.+):(\d+)$/.exec(server) ?? [];
    if (address === undefined || port === undefined)
      throw new LighterError("invalid", `--page-server "${server}" is not ADDRESS:PORT`);
    options.push("--page-server", "--address", address, "--port", port);
  }
  return options;
}
