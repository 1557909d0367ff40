/** AppArmor as the kernel shows it, and the host's compiler of its policies: only compiled ones can be loaded. */
import { readFileSync } from "node:fs";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { runProgram } from "../process/run-program.ts";

export { apparmorEnabled } from "./enabled.ts";

const PROFILES = "/sys/kernel/security/apparmor/profiles";
const PARSER = "apparmor_parser";

/** @throws LighterError "not-supported" if the kernel's list of profiles cannot be read. */
export function isProfileLoaded(name: string): boolean {
  return listsProfile(readProfiles(), name);
}

/** Each line is a name, which may hold spaces, and its mode: "docker-default (enforce)". */
export function listsProfile(list: string, name: string): boolean {
  return list.split("\n").some((line) => line.replace(/ \([a-z]+\)$/, "") === name);
}

function readProfiles(): string {
  try {
    return readFileSync(PROFILES, "utf8");
  } catch (error) {
    const hint = errnoOf(error) === "ENOENT" ? { hint: "mount securityfs on /sys/kernel/security" } : {};
    throw new LighterError("not-supported", `read "${PROFILES}": ${messageOf(error)}`, { ...hint, cause: error });
  }
}

/**
 * Compiles and loads the profiles of a text; those that are loaded already are replaced.
 * @throws LighterError "not-supported" without a compiler, "kernel" if it or the kernel refuses.
 */
export async function loadPolicy(text: string): Promise<void> {
  // --skip-cache: there is no file whose age could tell whether what lies in the cache is of this text.
  const { exitCode, stderr } = await runProgram(PARSER, ["--replace", "--skip-cache", "--quiet"], text).catch(
    (error: unknown) => {
      throw new LighterError("not-supported", `load an AppArmor profile: ${messageOf(error)}`, {
        hint: `install the package that has ${PARSER} ("apparmor")`,
        cause: error,
      });
    },
  );
  if (exitCode !== 0)
    throw new LighterError("kernel", `load an AppArmor profile: ${PARSER} ended with ${exitCode}: ${stderr.trim()}`);
}
