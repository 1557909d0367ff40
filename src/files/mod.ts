/** Work on files of containers, images and volumes, done in processes of its own. */
export type { BodyForm } from "./body.ts";
export { type RawBody, receiveAll, receiveBody, runWithInput } from "./input.ts";
export { receiveWithFiles } from "./input-files.ts";
export { addGeneralJobs } from "./jobs.ts";
export { measureTrees, measureUsage } from "./measure.ts";
export { type JobOutput, runWithOutput, writeOutput } from "./output.ts";
export { type FileJob, type JobContext, JobTable } from "./protocol.ts";
export { Trash } from "./trash.ts";
export { FileWorkers, type RunOptions, Stalled } from "./workers.ts";
