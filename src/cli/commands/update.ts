import { messageOf } from "../../base/errors.ts";
import { type Context, defineCommand } from "../command.ts";
import { parseRestart } from "../containers/container-config.ts";
import { containerFlags } from "../containers/container-flags.ts";
import { CliError } from "../exit.ts";
import { type ParsedFlags, stringFlag } from "../flags.ts";
import { encodeName } from "../http/client.ts";
import { printLine } from "../output.ts";

/** Flags of `run` that can be changed later. */
const flags = {
  "blkio-weight": containerFlags["blkio-weight"],
  "cpu-period": containerFlags["cpu-period"],
  "cpu-quota": containerFlags["cpu-quota"],
  "cpu-rt-period": containerFlags["cpu-rt-period"],
  "cpu-rt-runtime": containerFlags["cpu-rt-runtime"],
  "cpu-shares": containerFlags["cpu-shares"],
  cpus: containerFlags.cpus,
  "cpuset-cpus": containerFlags["cpuset-cpus"],
  "cpuset-mems": containerFlags["cpuset-mems"],
  "kernel-memory": containerFlags["kernel-memory"],
  memory: containerFlags.memory,
  "memory-reservation": containerFlags["memory-reservation"],
  "memory-swap": containerFlags["memory-swap"],
  "pids-limit": containerFlags["pids-limit"],
  restart: stringFlag("When to start again after an exit"),
};

export const command = defineCommand({
  name: "update",
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Update configuration of one or more containers",
  flags,
  args: { min: 1 },
  run,
});

async function run({ client }: Context, { values, given, args }: ParsedFlags<typeof flags>): Promise<number> {
  if (given.size === 0) throw new CliError("you must provide one or more flags when using this command");
  const body = {
    CpuShares: values["cpu-shares"],
    Memory: values.memory,
    NanoCpus: values.cpus,
    CgroupParent: "",
    BlkioWeight: values["blkio-weight"],
    BlkioWeightDevice: null,
    BlkioDeviceReadBps: null,
    BlkioDeviceWriteBps: null,
    BlkioDeviceReadIOps: null,
    BlkioDeviceWriteIOps: null,
    CpuPeriod: values["cpu-period"],
    CpuQuota: values["cpu-quota"],
    CpuRealtimePeriod: values["cpu-rt-period"],
    CpuRealtimeRuntime: values["cpu-rt-runtime"],
    CpusetCpus: values["cpuset-cpus"],
    CpusetMems: values["cpuset-mems"],
    Devices: null,
    DeviceCgroupRules: null,
    DeviceRequests: null,
    MemoryReservation: values["memory-reservation"],
    MemorySwap: values["memory-swap"],
    MemorySwappiness: null,
    OomKillDisable: null,
    PidsLimit: values["pids-limit"] || null,
    Ulimits: null,
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
    RestartPolicy: values.restart === "" ? { Name: "", MaximumRetryCount: 0 } : parseRestart(values.restart),
  };
  const warnings: string[] = [];
  const failures: string[] = [];
  for (const name of args) {
    try {
      const answer = await client.postJson<{ Warnings?: string[] | null }>(
        `/containers/${encodeName(name)}/update`,
        {},
        body,
      );
      await printLine(name);
      warnings.push(...(answer.Warnings ?? []));
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  if (warnings.length > 0) await printLine(warnings.join("\n"));
  if (failures.length > 0) throw new CliError(failures.join("\n"));
  return 0;
}
