import { expect, test } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import { compileDeviceProgram } from "../../src/linux/cgroup/device-program.ts";
import { compileDeviceRules, DEVICE_ACCESS } from "../../src/linux/cgroup/device-rules.ts";
import type { CgroupHost } from "../../src/linux/cgroup/host.ts";
import { detectCgroupHost } from "../../src/linux/cgroup/host.ts";
import { cgroupMounts } from "../../src/linux/cgroup/mounts.ts";
import { parseCgroupsPath } from "../../src/linux/cgroup/path.ts";
import { planCgroup } from "../../src/linux/cgroup/plan.ts";
import { parseBlkio, parseFlatKeyed, parseIoStat, parseLimit, parsePids } from "../../src/linux/cgroup/stats.ts";
import { parseMountinfo } from "../../src/linux/mount/mountinfo.ts";
import type { OciDeviceRule, OciResources } from "../../src/spec/oci-runtime.ts";
import type { HostFiles } from "../support/cgroup-hosts.ts";
import { NESTED_V2, PLAIN_HYBRID, readFrom, SYSTEMD_HYBRID, SYSTEMD_V1, UNIFIED } from "../support/cgroup-hosts.ts";
import { interpretDeviceProgram } from "../support/interpret-device-program.ts";
import { Random } from "../support/random.ts";

const HOSTS = [PLAIN_HYBRID, UNIFIED, SYSTEMD_V1, SYSTEMD_HYBRID, NESTED_V2];
const PIECES = [
  " ",
  ":",
  ",",
  "-",
  "\n",
  "/",
  "0",
  "cgroup",
  "cgroup2",
  "name=",
  "\\040",
  "\\777",
  "\0",
  "é",
  "99999999999",
];

/** `text` with a few pieces put in, cut out or doubled. */
function mutate(random: Random, text: string): string {
  let mutant = text;
  for (let count = random.below(6); count >= 0; count--) {
    const at = random.below(mutant.length + 1);
    const end = Math.min(mutant.length, at + random.below(40));
    const middle = random.pick([random.pick(PIECES), "", mutant.slice(at, end).repeat(2)]);
    mutant = mutant.slice(0, at) + middle + mutant.slice(random.pick([at, end]));
  }
  return mutant;
}

test("detectCgroupHost of any text names only what is mounted, or says not-supported", () => {
  const random = Random.fromEnvironment("cgroup hosts");
  for (let round = 0; round < 3000; round++) {
    const files: HostFiles = { ...random.pick(HOSTS) };
    const file = random.pick(Object.keys(files));
    files[file] = mutate(random, files[file]!);
    let host: CgroupHost;
    try {
      host = detectCgroupHost(readFrom(files));
    } catch (error) {
      expect(error).toMatchObject({ code: "not-supported" });
      continue;
    }
    const mounted = parseMountinfo(files["/proc/self/mountinfo"]!).map(({ mountPoint }) => mountPoint);
    const { v1, v2 } = host;
    for (const { mountPoint } of [...v1, ...(v2 === undefined ? [] : [v2])]) expect(mounted).toContain(mountPoint);
    for (const { controllers, name } of v1) expect(controllers.length > 0 || name !== undefined).toBe(true);
    const controllers = v1.flatMap((each) => each.controllers);
    expect(new Set(controllers).size).toBe(controllers.length);
    planCgroup(host, "/a/b", {});
    cgroupMounts(host, "/a/b", true);
  }
});

const STATISTICS = [
  "anon 1\nfile 2\noom_kill 3\n",
  "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n8:16 rbytes=1\n",
  "8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 3\n",
  "1\n22\n333\n",
  "9223372036854771712\n",
];

test("the parsers of statistics never throw, and give whole numbers from 0", () => {
  const random = Random.fromEnvironment("cgroup statistics");
  for (let round = 0; round < 5000; round++) {
    const text = mutate(random, random.pick(STATISTICS));
    const numbers = [
      ...Object.values(parseFlatKeyed(text)),
      ...parseIoStat(text).flatMap((each) => Object.values(each)),
      ...parseBlkio(text, text).flatMap((each) => Object.values(each)),
      ...parsePids(text),
      parseLimit(text) ?? 0,
    ];
    for (const number of numbers) if (!Number.isInteger(number) || number < 0) throw new Error(`${number} of ${text}`);
  }
});

test("parseCgroupsPath of any text gives components that stay below, or says invalid", () => {
  const random = Random.fromEnvironment("cgroup paths");
  for (let round = 0; round < 5000; round++) {
    const path = mutate(random, random.pick(["/lighter/abc", "a/../b", "system.slice:docker:x", "/a/./b/", ""]));
    try {
      const components = parseCgroupsPath(path);
      expect(components.length).toBeGreaterThan(0);
      for (const component of components) {
        expect(["", ".", ".."]).not.toContain(component);
        expect(component).not.toMatch(/[/\0\n]/);
      }
    } catch (error) {
      expect(error).toMatchObject({ code: "invalid" });
    }
  }
});

const TYPES = ["b", "c"] as const;
const LETTERS = ["r", "w", "m"] as const;
const NUMBERS = [1, 2];

function randomRule(random: Random): OciDeviceRule {
  const access = LETTERS.filter(() => random.below(2) === 0).join("") || "rwm";
  const number = (name: "major" | "minor") => (random.below(3) === 0 ? {} : { [name]: random.pick([...NUMBERS, -1]) });
  const type = random.pick(["a", "b", "c", "c", "c"]);
  return { allow: random.below(3) > 0, type, ...number("major"), ...number("minor"), access };
}

/** Whether the last rule that speaks of this one access of this one device allows it: the spec's plain reading. */
function lastRuleSays(rules: readonly OciDeviceRule[], type: string, major: number, minor: number, letter: string) {
  const matches = (wanted: number | undefined, actual: number) =>
    wanted === undefined || wanted === -1 || wanted === actual;
  const last = rules.findLast(
    (rule) =>
      (rule.type === "a" || rule.type === type) &&
      matches(rule.major, major) &&
      matches(rule.minor, minor) &&
      rule.access?.includes(letter),
  );
  return last?.allow ?? false;
}

test("a device program decides every access as reading the rules in order does", () => {
  const random = Random.fromEnvironment("device rules");
  let compiled = 0;
  for (let round = 0; round < 3000; round++) {
    const rules = Array.from({ length: 1 + random.below(6) }, () => randomRule(random));
    let policy: ReturnType<typeof compileDeviceRules>;
    try {
      policy = compileDeviceRules(rules);
    } catch (error) {
      if (!(error instanceof LighterError) || error.code !== "invalid") throw error;
      continue;
    }
    compiled++;
    const program = compileDeviceProgram(policy);
    for (const type of TYPES)
      for (const major of [...NUMBERS, 3])
        for (const minor of [...NUMBERS, 3])
          for (let bits = 1; bits < 8; bits++) {
            const letters = LETTERS.filter((letter) => (bits & DEVICE_ACCESS[letter]) !== 0);
            const each = letters.map((letter) => lastRuleSays(rules, type, major, minor, letter));
            const got = interpretDeviceProgram(program, { type, major, minor, access: letters.join("") });
            const where = `${JSON.stringify(rules)} ${type} ${major}:${minor} ${letters.join("")}`;
            // Several accesses at once: all must be allowed, and by one exception, so fewer may pass, never more.
            if (letters.length === 1 || policy.defaultAllow) expect(got, where).toBe(!each.includes(false));
            else if (got) expect(each, where).not.toContain(false);
          }
  }
  expect(compiled).toBeGreaterThan(300);
});

const JUNK = [0, 1, -1, 2.5, Number.NaN, 2 ** 53, 2 ** 64, 1e300, -5, 100, 1024, "0-1", "1\n2", "", "max", true];

test("planCgroup of any resources gives one-line values below the cgroup, or a typed error", () => {
  const random = Random.fromEnvironment("cgroup resources");
  const hosts = HOSTS.map((files) => detectCgroupHost(readFrom(files)));
  const junk = () => random.pick(JUNK) as never;
  const some = (...names: string[]) =>
    Object.fromEntries(names.filter(() => random.below(3) === 0).map((n) => [n, junk()]));
  for (let round = 0; round < 5000; round++) {
    const resources: OciResources = {
      memory: some("limit", "swap", "reservation", "swappiness", "disableOOMKiller", "kernelTCP", "useHierarchy"),
      cpu: some("shares", "quota", "period", "burst", "idle", "cpus", "mems", "realtimeRuntime"),
      pids: some("limit"),
      blockIO: { ...some("weight"), throttleReadBpsDevice: [{ major: junk(), minor: junk(), rate: junk() }] },
      unified: random.below(4) === 0 ? { [`memory.${random.pick(PIECES)}`]: random.pick(PIECES) } : {},
    };
    if (random.below(2) === 0) delete resources.blockIO;
    try {
      for (const { file, value } of planCgroup(random.pick(hosts), "/lighter/a", resources).writes) {
        expect(file).toMatch(/^\/sys\/fs\/cgroup(\/[a-z,_]+)?\/lighter\/a\/[a-zA-Z0-9_.]+$/);
        expect(value).not.toMatch(/\n|NaN|undefined|e\+/);
      }
    } catch (error) {
      if (!(error instanceof LighterError)) throw error;
      expect(["invalid", "not-supported"]).toContain(error.code);
    }
  }
});
