import { features } from "../../runtime/features.ts";
import type { OciCommand } from "../command.ts";
import { print } from "../output.ts";

export const command: OciCommand = {
  name: "features",
  usage: "",
  summary: "show what this runtime implements, as JSON",
  flags: [],
  positionals: { min: 0, max: 0 },
  async run() {
    print(`${JSON.stringify(features(), null, 4)}\n`);
    return 0;
  },
};
