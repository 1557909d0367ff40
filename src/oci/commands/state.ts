import type { OciCommand } from "../command.ts";
import { formatState } from "../container-view.ts";
import { print } from "../output.ts";
import { openState, statusOf } from "../state.ts";

export const command: OciCommand = {
  name: "state",
  usage: "<container-id>",
  summary: "output the state of a container",
  flags: [],
  positionals: { min: 1, max: 1 },
  async run({ root }, parsed) {
    const handle = openState(root, parsed.arg(0));
    print(formatState(handle, statusOf(handle)));
    return 0;
  },
};
