/** Our daemon and a private dockerd, for tests that ask both the same. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../support/api-client.ts";
import { TestDaemon } from "../support/daemon.ts";
import { PrivateDocker } from "./cli-support.ts";

export interface BesideDocker {
  /** A directory of the test's own. */
  temp: string;
  docker: PrivateDocker;
  theirs: ApiClient;
  ours: TestDaemon;
  /** Ends both and removes the directory. */
  stop(): Promise<void>;
}

/** `networks`: dockerd has some, too, as `PrivateDocker`; `flags` are both daemons'. */
export async function startBesideDocker(
  name: string,
  { networks = false, flags = [] as readonly string[] } = {},
): Promise<BesideDocker> {
  const temp = mkdtempSync(join(tmpdir(), `lighter-${name}-`));
  const [docker, ours] = await Promise.all([PrivateDocker.start(flags, { networks }), TestDaemon.start({ flags })]);
  const theirs = new ApiClient(join(docker.folder, "docker.sock"), false);
  const stop = async () => {
    await ours[Symbol.asyncDispose]();
    await docker.stop();
    rmSync(temp, { recursive: true });
  };
  return { temp, docker, theirs, ours, stop };
}
