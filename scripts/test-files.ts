/** Finds test files, runs each with `bun test` in its own process, and counts the results. */
import { spawn } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing, neededBy } from "../tests/support/missing.ts";

export const root = join(import.meta.dirname, "..");
export const isRoot = process.getuid?.() === 0;

/** A kind of test files, by what they need. A file belongs to the first kind whose folder, or beginning of a path, it has. */
export interface Kind {
  name: string;
  folder: string;
  /**
   * Whether the tests need root. Such files run one by one, because they look at all of the kernel, or at times; others run two
   * at a time.
   */
  needsRoot: boolean;
  /** Whether the files also run on the kernel with cgroup v2, if that can be booted: see `runsOnCgroupV2`. */
  onCgroupV2: boolean;
  /** The timeout of a test, unless the test names its own. */
  timeoutMs: number;
}

const AS_ROOT = { needsRoot: true, onCgroupV2: false };
const AS_ANYBODY = { needsRoot: false, onCgroupV2: false };

export const kinds: readonly Kind[] = [
  { ...AS_ROOT, name: "kernel", folder: "tests/kernel/", onCgroupV2: true, timeoutMs: 60_000 },
  { ...AS_ROOT, name: "fault", folder: "tests/fault/", onCgroupV2: true, timeoutMs: 180_000 },
  { ...AS_ROOT, name: "crash", folder: "tests/crash/", onCgroupV2: true, timeoutMs: 180_000 },
  { ...AS_ROOT, name: "machine", folder: "tests/compat/systemd", timeoutMs: 180_000 },
  { ...AS_ROOT, name: "compat", folder: "tests/compat/", timeoutMs: 180_000 },
  { ...AS_ANYBODY, name: "fuzz", folder: "tests/fuzz/", timeoutMs: 60_000 },
  { ...AS_ANYBODY, name: "unit", folder: "", timeoutMs: 20_000 },
];

/**
 * Beginnings of the paths of tests that are slow in the machine, where each program that starts costs a quarter of a second, and
 * do there what they do here: once is enough. Tests of either kernel's features are not among them.
 */
const ON_ONE_KERNEL = [
  "tests/crash/build",
  "tests/crash/busy",
  "tests/crash/commit",
  "tests/crash/endpoints",
  "tests/crash/logs",
  "tests/crash/lost-database",
  "tests/crash/network",
  "tests/crash/silent-filesystem",
  "tests/crash/user-namespaces",
  "tests/crash/volumes",
  "tests/fault/pull",
  "tests/kernel/archive-hostile",
  "tests/kernel/conntrack",
  "tests/kernel/cri-network",
  "tests/kernel/cri-streams",
  "tests/kernel/disk-full",
  "tests/kernel/dns",
  "tests/kernel/export-hostile",
  "tests/kernel/firewall",
  "tests/kernel/image",
  "tests/kernel/links",
  "tests/kernel/machine-images",
  "tests/kernel/machine-odd",
  "tests/kernel/machine-unit-tests",
  "tests/kernel/netlink",
  "tests/kernel/networks",
  "tests/kernel/runtime-network",
  "tests/kernel/runtime-stdio",
  "tests/kernel/volume-filesystems",
];

export function runsOnCgroupV2(path: string): boolean {
  return kindOf(path).onCgroupV2 && !ON_ONE_KERNEL.some((beginning) => path.startsWith(beginning));
}

export function kindOf(path: string): Kind {
  const kind = kinds.find(({ folder }) => path.startsWith(folder));
  if (kind === undefined) throw new Error(`no kind for ${path}`);
  return kind;
}

/** The paths of test files relative to the checkout, sorted; with words, those that contain at least one of them. */
export function findTestFiles(words: readonly string[]): string[] {
  return globSync("{src,launcher,hello,scripts,bench,tests}/**/*.test.ts", { cwd: root })
    .filter((path) => words.length === 0 || words.some((word) => path.includes(word)))
    .sort();
}

export interface Tally {
  passed: number;
  /** A line for each failed test: where, which, and its message. */
  failed: string[];
  /** The reason for each skipped test. */
  skipped: string[];
}

/** The results of test files, by path. */
export type Tallies = Map<string, Tally>;

export function noTests(): Tally {
  return { passed: 0, failed: [], skipped: [] };
}

export function add(total: Tally, part: Tally): void {
  total.passed += part.passed;
  total.failed.push(...part.failed);
  total.skipped.push(...part.skipped);
}

/** The number of failing files above which they are no accident, and not run a second time. */
const SECOND_TRIES_MAX = 12;

/**
 * Runs failed files a second time, when nothing else runs: tests that pass then were disturbed by others (or are unstable by
 * themselves), and count as passed. Returns what such tests had reported. A file that fails both times keeps its second report.
 */
export async function tryAgain(tallies: Tallies, run: (paths: string[]) => Promise<Tallies>): Promise<string[]> {
  const paths = [...tallies].filter(([, { failed }]) => failed.length > 0).map(([path]) => path);
  if (paths.length === 0 || paths.length > SECOND_TRIES_MAX) return [];
  console.log(`\nonce more, alone: ${paths.join(" ")}`);
  const unstable: string[] = [];
  for (const [path, second] of await run(paths)) {
    if (second.failed.length === 0) unstable.push(...(tallies.get(path)?.failed ?? []));
    tallies.set(path, second);
  }
  return unstable;
}

/** The time after which a hanging file, beyond every test's own timeout, is killed with all it started. */
const FILE_TIMEOUT_MS = 15 * 60_000;

/**
 * Runs one file and prints a line about it; also its whole output if it failed. Never throws for what the file does: a file that
 * does not load, crashes, or contains no tests counts as a failure.
 */
export async function runTestFile(path: string): Promise<Tally> {
  const whyNot = missing(...neededBy(readFileSync(join(root, path), "utf8")));
  if (whyNot !== undefined) {
    console.log(`skip  ${path}: ${whyNot}`);
    return { ...noTests(), skipped: [whyNot] };
  }
  const folder = mkdtempSync(join(tmpdir(), "lighter-junit-"));
  try {
    const reportPath = join(folder, "report.xml");
    const startMs = performance.now();
    const { code, output } = await runBunTest(path, reportPath);
    const tally = parseReport(readOrEmpty(reportPath), path);
    const failed = tally.failed.length;
    const ran = tally.passed + failed + tally.skipped.length;
    let note = "";
    if (ran === 0) note = code === 0 ? "holds no tests" : `did not run: ${code}`;
    else if (code !== 0 && failed === 0) note = `passed, then ended with ${code}`;
    if (note !== "") tally.failed.push(`${path}: ${note}`);
    const counts = `${tally.passed} passed${failed > 0 ? `, ${failed} failed` : ""}`;
    const skips = tally.skipped.length > 0 ? `, ${tally.skipped.length} skipped` : "";
    const tookMs = Math.round(performance.now() - startMs);
    const isGood = tally.failed.length === 0;
    if (!isGood) process.stdout.write(`${output.trimEnd()}\n`);
    console.log(`${isGood ? "ok  " : "FAIL"}  ${path}: ${note || counts + skips}, ${tookMs} ms`);
    return tally;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The process groups of running files, which Ctrl-C ends, too. */
const running = new Set<number>();
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => {
    for (const pid of running) killGroup(pid);
    process.exit(130);
  });

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {} // ESRCH: the group has just ended
}

/** Runs `bun test`. `code` is the exit code or the name of the signal. */
function runBunTest(path: string, reportPath: string): Promise<{ code: number | string; output: string }> {
  const timeout = `--timeout=${kindOf(path).timeoutMs}`;
  const report = ["--reporter=junit", `--reporter-outfile=${reportPath}`];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["test", "--only-failures", timeout, ...report, `./${path}`], {
      cwd: root,
      detached: true, // makes a process group
      stdio: ["ignore", "pipe", "pipe"],
    });
    const pid = child.pid;
    const chunks: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("error", reject);
    if (pid === undefined) return;
    running.add(pid);
    const timer = setTimeout(() => {
      chunks.push(Buffer.from(`\nkilled after ${FILE_TIMEOUT_MS / 60_000} minutes\n`));
      killGroup(pid);
    }, FILE_TIMEOUT_MS);
    // The event is 'exit', not 'close': a process that the file left running may keep the pipe open.
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      running.delete(pid);
      setImmediate(() => resolve({ code: signal ?? code ?? 0, output: Buffer.concat(chunks).toString() }));
    });
  });
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/**
 * Counts the results in the JUnit report of `bun test` about one file. A skipped test has its reason in its name: see
 * tests/support/test-if.ts.
 */
export function parseReport(xml: string, path: string): Tally {
  const tally = noTests();
  for (const [, attributes = "", , body = ""] of xml.matchAll(/<testcase ([^>]*?)(\/>|>([\s\S]*?)<\/testcase>)/g)) {
    const name = attributeOf(attributes, "name");
    const [, failure] = /<(?:failure|error)\b([^>]*)/.exec(body) ?? [];
    if (failure !== undefined) tally.failed.push(`${path}: ${name}: ${attributeOf(failure, "message")}`);
    else if (/<skipped\b/.test(body)) tally.skipped.push(/\[skipped: (.*?)\]/.exec(name)?.[1] ?? "no reason given");
    else tally.passed++;
  }
  return tally;
}

const ENTITIES: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&", "#10": " " };

/** An attribute's value on one line. */
function attributeOf(attributes: string, name: string): string {
  const [, text = ""] = new RegExp(`\\b${name}="([^"]*)"`).exec(attributes) ?? [];
  return text
    .replace(/&(#?\w+);/g, (whole, entity) => ENTITIES[entity] ?? whole)
    .replace(/\s+/g, " ")
    .trim();
}

/** Runs all files, those that need no root first; without root only those. */
export async function runFiles(files: readonly string[]): Promise<Tallies> {
  const tallies: Tallies = new Map();
  for (const needsRoot of [false, true]) {
    const queue = files.filter((path) => kindOf(path).needsRoot === needsRoot);
    const worker = async (): Promise<void> => {
      for (let path = queue.shift(); path !== undefined; path = queue.shift())
        if (isRoot || !needsRoot) tallies.set(path, await runTestFile(path));
        else tallies.set(path, { ...noTests(), skipped: [`tests/${kindOf(path).name}/: a file needs root`] });
    };
    await Promise.all(Array.from({ length: needsRoot ? 1 : 2 }, worker));
  }
  return tallies;
}

/** The length to which the message of a failed test is cut: it may contain a whole diff. */
const FAILURE_LENGTH_MAX = 400;

/**
 * Prints the reasons for skips with their counts, the tests that only failed beside others, each failure, then the line that
 * other programs parse; sets the exit code.
 */
export function report(total: Tally, unstable: readonly string[] = []): void {
  const reasons = Map.groupBy(total.skipped, (reason) => reason);
  const failed = total.failed.length;
  console.log("");
  for (const [reason, tests] of reasons) console.log(`skipped ${tests.length}: ${reason}`);
  for (const failure of unstable) console.log(`unstable, passed when alone: ${failure.slice(0, FAILURE_LENGTH_MAX)}`);
  for (const failure of total.failed) console.log(`failed: ${failure.slice(0, FAILURE_LENGTH_MAX)}`);
  if (total.passed + failed === 0) console.log("no test ran");
  const skips = total.skipped.length > 0 ? `, ${total.skipped.length} skipped` : "";
  console.log(`${total.passed} passed, ${failed} failed${skips}`);
  process.exitCode = failed > 0 || total.passed === 0 ? 1 : 0;
}
