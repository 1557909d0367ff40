/** AppArmor as the kernel shows it, and the host's compiler for its policies: the kernel loads compiled ones only. */
import { readFileSync } from "node:fs";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { runProgram } from "../process/run-program.ts";

export { apparmorEnabled } from "./enabled.ts";

const PROFILES = "/sys/kernel/security/apparmor/profiles";
const PARSER = "apparmor_parser";

/** Whether a profile is loaded. @throws LighterError "not-supported" if the kernel's list of profiles cannot be read. */
export function isProfileLoaded(name: string): boolean {
  return listsProfile(readProfiles(), name);
}

/**
 * Whether a list of profiles has this name. Each line is a name, which may hold spaces, and its mode: "docker-default (enforce)".
 */
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
 * Compiles and loads the profiles in a text, replacing those that are loaded already.
 * @throws LighterError "not-supported" without a compiler, "kernel" if it or the kernel refuses.
 */
export async function loadPolicy(text: string): Promise<void> {
  // --skip-cache: there is no file by whose age the compiler could tell whether a cached result is of this text.
  const { exitCode, stderr } = await runProgram(PARSER, ["--replace", "--skip-cache", "--quiet"], {
    input: text,
  }).catch((error: unknown) => {
    throw new LighterError("not-supported", `load an AppArmor profile: ${messageOf(error)}`, {
      hint: `install the package that has ${PARSER} ("apparmor")`,
      cause: error,
    });
  });
  if (exitCode !== 0)
    throw new LighterError("kernel", `load an AppArmor profile: ${PARSER} ended with ${exitCode}: ${stderr.trim()}`);
}
