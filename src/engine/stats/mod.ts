/** Resource usage of containers: `docker stats`. */
import { totalmem } from "node:os";
import type { Container } from "../container.ts";
import { readSample, type StatsSample } from "./sample.ts";
import { Sampler } from "./sampler.ts";

export { memoryStat, workingSetBytes } from "../../linux/cgroup/mod.ts";
export { type HostSample, sampleHost } from "./host.ts";
export { KeptFiles } from "./kept-files.ts";
export { type CgroupDetails, readCgroup, readCgroupDetails, type StatsSample, samplePressure } from "./sample.ts";
export { type ContainerUsage, readUsage } from "./usage.ts";

const samplers = new WeakMap<Container, Sampler<StatsSample | undefined>>();

/** Takes one sample; undefined if the container does not run. */
export function sampleStats(container: Container): StatsSample | undefined {
  return readSample(container, totalmem());
}

/** Sends samples of the container, one a second, until the result is disposed of. */
export function listenToStats(container: Container, listener: (sample: StatsSample | undefined) => void): Disposable {
  let sampler = samplers.get(container);
  if (sampler === undefined) {
    sampler = new Sampler(() => sampleStats(container));
    samplers.set(container, sampler);
  }
  return sampler.listen(listener);
}
