import { LighterError, messageOf } from "../../base/errors.ts";
import type { OciCommand } from "../command.ts";
import { type ContainerView, viewOf } from "../container-view.ts";
import { print } from "../output.ts";
import { listIds, openState } from "../state.ts";

export const command: OciCommand = {
  name: "list",
  usage: "[command options]",
  summary: "list the containers with the given root",
  flags: [
    { name: "format", short: "f", kind: "string", help: "table or json", default: '"table"' },
    { name: "quiet", short: "q", kind: "boolean", help: "display only container IDs" },
  ],
  positionals: { min: 0, max: 0 },
  async run({ root, log }, parsed) {
    const format = parsed.string("format") ?? "table";
    if (format !== "table" && format !== "json") throw new LighterError("invalid", "invalid format option");
    const views: ContainerView[] = [];
    for (const id of listIds(root)) {
      try {
        views.push(viewOf(openState(root, id)));
      } catch (error) {
        // A container that was deleted meanwhile, or is not yet created, is skipped; a broken one must not hide the others.
        if (!(error instanceof LighterError && error.code === "not-found")) log.warn(`list ${id}: ${messageOf(error)}`);
      }
    }
    if (parsed.boolean("quiet")) print(views.map(({ id }) => `${id}\n`).join(""));
    else print(format === "json" ? formatJsonList(views) : formatTable(views));
    return 0;
  },
};

/** The list as JSON. Go prints an empty list as null. */
function formatJsonList(views: readonly ContainerView[]): string {
  return `${views.length === 0 ? "null" : JSON.stringify(views)}\n`;
}

const MIN_WIDTH = 12;
const PADDING = 3;

/**
 * A table whose columns are as wide as their widest cell plus three, and at least 12; the last column is not padded. (Go's
 * text/tabwriter)
 */
function formatTable(views: readonly ContainerView[]): string {
  const rows = [
    ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"],
    ...views.map(({ id, pid, status, bundle, created, owner }) => [id, String(pid), status, bundle, created, owner]),
  ];
  const widths = rows[0]!.map((_, column) =>
    Math.max(MIN_WIDTH, ...rows.map((row) => (row[column]?.length ?? 0) + PADDING)),
  );
  const last = widths.length - 1;
  return rows
    .map((row) => `${row.map((cell, column) => (column === last ? cell : cell.padEnd(widths[column]!))).join("")}\n`)
    .join("");
}
