/** What a built program knows of its build. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");

/** The output of git, or "" outside of a checkout, as in an unpacked tarball. */
function git(...args: string[]): string {
  const { status, stdout } = spawnSync("git", args, { cwd: root });
  return status === 0 ? stdout.toString().trim() : "";
}

/**
 * The time of the commit, so that a commit always gives the same bytes, or the time of the build if files differ from the commit.
 */
function buildTime(commit: string): string {
  const { SOURCE_DATE_EPOCH = "" } = process.env; // see reproducible-builds.org
  const isCommit = commit !== "" && !commit.endsWith("-dirty");
  const seconds = SOURCE_DATE_EPOCH || (isCommit ? git("log", "-1", "--format=%ct") : "");
  return (seconds === "" ? new Date() : new Date(Number(seconds) * 1000)).toISOString().replace(/\.\d+/, "");
}

/** The constants that a bundler puts into the sources. */
export function buildFacts(): Record<string, string> {
  const commit = git("describe", "--always", "--dirty", "--exclude", "*");
  return { BUILD_COMMIT: JSON.stringify(commit), BUILD_TIME: JSON.stringify(buildTime(commit)) };
}
