/** The environment of machines. */
import { CREDENTIALS_DIRECTORY, machineUuid } from "./files.ts";
import { secretsNamedBy } from "./secrets.ts";

/** Returns the variables by which an init learns where it is. Source: systemd.io/CONTAINER_INTERFACE, "Environment Variables". */
export function machineEnvironment(id: string, labels: Readonly<Record<string, string>>): string[] {
  return [
    "TERM=xterm",
    "container=lighter",
    `container_uuid=${machineUuid(id)}`,
    ...(secretsNamedBy(labels).credentials ? [`CREDENTIALS_DIRECTORY=/run/host/${CREDENTIALS_DIRECTORY}`] : []),
  ];
}
