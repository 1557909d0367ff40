import type { OciCommand } from "../command.ts";
import { viewOf } from "../container-view.ts";
import { print } from "../output.ts";
import { openState } from "../state.ts";

export const command: OciCommand = {
  name: "state",
  usage: "<container-id>",
  summary: "output the state of a container",
  flags: [],
  positionals: { min: 1, max: 1 },
  async run({ root }, parsed) {
    const view = viewOf(openState(root, parsed.arg(0)));
    print(JSON.stringify({ ...view, owner: "" }, null, 2)); // as runc: no owner but in `list`, no line end but there
    return 0;
  },
};
