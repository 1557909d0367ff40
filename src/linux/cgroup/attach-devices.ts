/** Puts a device filter on a cgroup that exists. */
import { closeSync, openSync } from "node:fs";
import { bpf } from "../sys/bpf.ts";
import { BPF_PROG_ATTACH, BPF_PROG_LOAD, encodeBpfAttach, encodeBpfLoad } from "./device-program.ts";

/**
 * Loads a device filter and attaches it to an existing cgroup, one that the launcher did not make.
 * @throws LighterError ("kernel") with the errno of bpf(2)
 */
export function attachDeviceProgram(program: Uint8Array, cgroupDirectory: string): void {
  const { data, pointers } = encodeBpfLoad(program);
  const programFd = bpf(BPF_PROG_LOAD, data, pointers, "load the device filter");
  try {
    const cgroupFd = openSync(cgroupDirectory, "r");
    try {
      const attach = encodeBpfAttach();
      const view = new DataView(attach.buffer, attach.byteOffset);
      view.setUint32(0, cgroupFd, true);
      view.setUint32(4, programFd, true);
      bpf(BPF_PROG_ATTACH, attach, [], "attach the device filter");
    } finally {
      closeSync(cgroupFd);
    }
  } finally {
    closeSync(programFd);
  }
}
