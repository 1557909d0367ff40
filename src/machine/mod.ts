/**
 * Machines: containers with an init of their own that live like a small computer. Here are their defaults, and what is exchanged
 * with them; the engine starts them and keeps their rows.
 */
export { type BootPlace, bootGroups, parseBootPlace } from "./boot.ts";
export { machineCapabilities } from "./capabilities.ts";
export { timeOffsets } from "./clocks.ts";
export { seedFiles } from "./cloud-init.ts";
export { machineDefaults } from "./defaults.ts";
export { machineEnvironment } from "./environment.ts";
export { CREDENTIALS_DIRECTORY, etcFiles, hostFiles, type MachineFile, machineUuid, NOTIFY_NAME } from "./files.ts";
export { type Ending, endingOf, type InitFacts, shutdownCommand, shutdownSignal } from "./init.ts";
export { MACHINE_PROPAGATION, machineMounts } from "./mounts.ts";
export { MACHINE_RUNTIME } from "./name.ts";
export { parseNesting } from "./nesting.ts";
export { endOfMachine, type MachineEnd, type MachineState, parseMachineState } from "./notify.ts";
export { machineMaskedPaths, machineReadonlyPaths } from "./paths.ts";
export { machineSeccomp } from "./seccomp.ts";
export { labelsOfImage, type MachineSecrets, secretsNamedBy, takeSecrets } from "./secrets.ts";
