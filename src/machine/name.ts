/** What makes a container a machine, in `HostConfig.Runtime`. */
export const MACHINE_RUNTIME = "machine";
