import { spawnSync } from "node:child_process";
import { LighterError, messageOf } from "../../base/errors.ts";
import { OCI_PS_MAX_BYTES } from "../../base/limits.ts";
import { cgroupHost, cgroupsPathOf, processesOf } from "../cgroup.ts";
import type { OciCommand } from "../command.ts";
import { print } from "../output.ts";
import { openState } from "../state.ts";

export const command: OciCommand = {
  name: "ps",
  usage: "[command options] <container-id> [ps options]",
  summary: "display the processes of a container",
  flags: [{ name: "format", short: "f", kind: "string", help: "table or json", default: '"table"' }],
  positionals: { min: 1 },
  rawFrom: 0,
  async run({ root }, parsed) {
    const handle = openState(root, parsed.arg(0));
    const pids = processesOf(cgroupHost(), cgroupsPathOf(handle));
    const format = parsed.string("format") ?? "table";
    if (format === "json") print(`${JSON.stringify(pids.length === 0 ? null : pids)}\n`);
    else if (format === "table") print(selectLines(hostPs(parsed.args.slice(1)), new Set(pids)));
    else throw new LighterError("invalid", "invalid format option");
    return 0;
  },
};

/** The output of the host's ps(1) for all processes: a container's own ps may be any program. */
function hostPs(options: readonly string[]): string {
  const ran = spawnSync("ps", options.length === 0 ? ["-ef"] : options, {
    encoding: "utf8",
    maxBuffer: OCI_PS_MAX_BYTES,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (ran.error !== undefined) throw new LighterError("unavailable", `run ps: ${messageOf(ran.error)}`);
  if (ran.status !== 0)
    throw new LighterError("invalid", `ps exits with ${ran.status ?? ran.signal}: ${ran.stdout}${ran.stderr}`.trim());
  return ran.stdout;
}

/** The heading and the lines whose column "PID" is one of `pids`. @throws LighterError ("invalid") if there is no such column */
export function selectLines(table: string, pids: ReadonlySet<number>): string {
  const [heading = "", ...lines] = table.split("\n");
  const column = words(heading).indexOf("PID");
  if (column === -1) throw new LighterError("invalid", "couldn't find PID field in ps output");
  const chosen = lines.filter((line) => pids.has(Number(words(line)[column])));
  return [heading, ...chosen].map((line) => `${line}\n`).join("");
}

function words(line: string): string[] {
  return line.split(/\s+/).filter((word) => word !== "");
}
