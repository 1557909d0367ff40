/** Filters of events. */
import type { EngineEvent } from "../../engine/mod.ts";
import { familiarName, parseReference } from "../../spec/image-reference.ts";
import type { Filters } from "../http/filters.ts";

/** Actions that may have a text after a colon: a filter for one of them matches the beginning. */
const PREFIX_ACTIONS = ["health_status", "exec_create", "exec_start", "machine_status", "machine_target"];
/** Filters by name or id, or the beginning of one. They apply to events of every type, as with Docker. */
const NAMED = ["daemon", "container", "plugin", "volume", "network", "node", "service", "secret", "config"];

/** Whether an event passes the filters. As with Docker, unknown filters let every event pass. */
export function matchesEvent(filters: Filters, event: EngineEvent): boolean {
  const { type, action, id, attributes } = event;
  const name = attributes.name ?? "";
  const byBeginning = filters.get("event")?.some((value) => PREFIX_ACTIONS.includes(value)) ?? false;
  return (
    filters.any("event", (value) => (byBeginning ? action.startsWith(value) : action === value)) &&
    filters.any("type", (value) => value === type) &&
    filters.any("scope", (value) => value === "local") &&
    NAMED.every((key) => filters.any(key, (value) => id.startsWith(value) || name.startsWith(value))) &&
    matchesImage(filters, event) &&
    filters.matchesLabels(attributes)
  );
}

function matchesImage(filters: Filters, { type, id, attributes }: EngineEvent): boolean {
  if (filters.get("image") === undefined) return true;
  const name = attributes[type === "container" ? "image" : "name"] ?? "";
  const names = [id, name, withoutTag(id), withoutTag(name)];
  return filters.any("image", (value) => names.includes(value));
}

function withoutTag(name: string): string {
  try {
    return familiarName(parseReference(name));
  } catch {
    return name; // an id, or text that cannot be a name
  }
}
