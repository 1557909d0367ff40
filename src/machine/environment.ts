/** The environment of machines. */
import { machineUuid } from "./files.ts";

/** Returns the variables by which an init learns where it is. Source: systemd.io/CONTAINER_INTERFACE, "Environment Variables". */
export function machineEnvironment(id: string): string[] {
  return ["TERM=xterm", "container=lighter", `container_uuid=${machineUuid(id)}`];
}
