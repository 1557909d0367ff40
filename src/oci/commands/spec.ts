import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, LighterError } from "../../base/errors.ts";
import { cgroupHost } from "../cgroup.ts";
import type { OciCommand } from "../command.ts";
import { exampleConfig, toRootless } from "../example-config.ts";

const BUNDLE_CONFIG_FILE = "config.json";

export const command: OciCommand = {
  name: "spec",
  usage: "[command options]",
  summary: "create a new specification file",
  flags: [
    { name: "bundle", short: "b", kind: "string", help: "path to the root of the bundle directory" },
    { name: "rootless", kind: "boolean", help: "generate a configuration for a rootless container" },
  ],
  positionals: { min: 0, max: 0 },
  async run(_context, parsed) {
    const path = join(parsed.string("bundle") ?? "", BUNDLE_CONFIG_FILE);
    const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
    const example = exampleConfig(cgroupHost().mode === "unified");
    const config = parsed.boolean("rootless") ? toRootless(example, uid, gid) : example;
    try {
      writeFileSync(path, JSON.stringify(config, null, "\t"), { flag: "wx", mode: 0o666 });
    } catch (cause) {
      if (errnoOf(cause) === "EEXIST")
        throw new LighterError("conflict", `File ${BUNDLE_CONFIG_FILE} exists. Remove it first`);
      throw new LighterError("kernel", `create "${path}": ${errnoOf(cause)}`, { errno: errnoOf(cause), cause });
    }
    return 0;
  },
};
