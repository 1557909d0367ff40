/** The environment of machines. */
import { CREDENTIALS_DIRECTORY, machineUuid, NOTIFY_NAME } from "./files.ts";
import { secretsNamedBy } from "./secrets.ts";

/** Returns the variables by which an init learns where it is. Source: systemd.io/CONTAINER_INTERFACE, "Environment Variables". */
export function machineEnvironment(id: string, labels: Readonly<Record<string, string>>): string[] {
  return [
    "TERM=xterm",
    "container=lighter",
    `container_uuid=${machineUuid(id)}`,
    `NOTIFY_SOCKET=/run/host/${NOTIFY_NAME}`,
    ...(secretsNamedBy(labels).credentials ? [`CREDENTIALS_DIRECTORY=/run/host/${CREDENTIALS_DIRECTORY}`] : []),
  ];
}
