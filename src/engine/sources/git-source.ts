/**
 * Checks out git repositories, for ADD and for `remote` of a build, by the host's git. Repositories and their servers are hostile: git
 * reads no configuration but ours, runs no hooks, asks nobody, and speaks to servers only.
 */
import { closeSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { GIT_TIMEOUT_MS } from "../../base/limits.ts";
import { GIT_SECRETS, type GitSource } from "../../build/mod.ts";
import { runProgram } from "../../linux/process/run-program.ts";
import { AT_FDCWD } from "../../linux/sys/abi.ts";
import {
  bytePath,
  O_DIRECTORY,
  O_PATH,
  openat,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  tryOpenat2,
} from "../../linux/sys/fs.ts";

const ENVIRONMENT = {
  HOME: "/nonexistent",
  LC_ALL: "C",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_ATTR_NOSYSTEM: "1",
  GIT_TERMINAL_PROMPT: "0",
  GIT_ASKPASS: "/bin/false",
  GIT_ALLOW_PROTOCOL: "git:http:https:ssh",
  GIT_PROTOCOL_FROM_USER: "0",
  GIT_SSH_COMMAND: "ssh -F /dev/null -o BatchMode=yes",
  GIT_NO_REPLACE_OBJECTS: "1",
};
const CONFIGURATION = {
  "core.hooksPath": "/dev/null",
  "core.fsmonitor": "false",
  "core.attributesFile": "/dev/null",
  "core.autocrlf": "false",
  "advice.detachedHead": "false",
  "credential.helper": "",
  "gc.auto": "0",
  "init.defaultBranch": "master",
  "http.lowSpeedLimit": "1",
  "http.lowSpeedTime": "60",
};
const OPTIONS = Object.entries(CONFIGURATION).flatMap(([name, value]) => ["-c", `${name}=${value}`]);

const COMMIT = /^[0-9a-f]{40}([0-9a-f]{24})?$/;
const SHOWN_BYTES = 2048;

interface CheckoutOptions {
  /** An empty directory. */
  directory: string;
  signal: AbortSignal;
  /** Asks the client for a secret. */
  secret: (id: string) => Promise<Uint8Array | undefined>;
}

/** One repository, whose files are in `directory`. */
class Checkout {
  readonly #directory: string;
  readonly #signal: AbortSignal;
  readonly #environment: Readonly<Record<string, string>>;

  constructor({ directory, signal }: CheckoutOptions, environment: Record<string, string>) {
    this.#directory = directory;
    this.#signal = signal;
    this.#environment = { ...ENVIRONMENT, ...environment };
  }

  /** @throws LighterError ("invalid") with what git said. */
  async git(...args: string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.#run(args);
    if (exitCode === 0) return stdout;
    throw new LighterError("invalid", `git ${args[0]}: ${stderr.trim().slice(0, SHOWN_BYTES)}`);
  }

  async #run(args: readonly string[]) {
    const [env, directory, signal] = [this.#environment, this.#directory, this.#signal];
    const options = { env, directory, timeoutMs: GIT_TIMEOUT_MS, signal };
    try {
      return await runProgram("git", [...OPTIONS, ...args], options);
    } catch (error) {
      if (!(error instanceof LighterError) || !/ENOENT/.test(error.message)) throw error;
      throw new LighterError("not-supported", "git repositories need the program git, which is not installed");
    }
  }

  /** Fetches, without history if the server can do that. */
  async fetch(ref: string): Promise<void> {
    const { exitCode } = await this.#run(["fetch", "--quiet", "--no-tags", "--depth=1", "origin", "--", ref]);
    if (exitCode !== 0) await this.git("fetch", "--quiet", "--no-tags", "origin", "--", ref);
  }

  /** Fetches a commit; servers need not give what no branch or tag names, but a branch may lead to it. */
  async fetchCommit(commit: string): Promise<void> {
    const { exitCode } = await this.#run(["fetch", "--quiet", "--no-tags", "--depth=1", "origin", "--", commit]);
    if (exitCode !== 0) await this.git("fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*");
  }

  /** Checks out the repositories inside, without history if their servers can do that. */
  async updateSubmodules(): Promise<void> {
    const update = ["submodule", "--quiet", "update", "--init", "--recursive"];
    const { exitCode } = await this.#run([...update, "--depth=1"]);
    if (exitCode === 0) return;
    // What has come so far would stay without history.
    await this.git("submodule", "--quiet", "deinit", "--force", "--all");
    rmSync(join(this.#directory, ".git/modules"), { recursive: true, force: true });
    await this.git(...update);
  }

  /** The full name of a branch, a tag or anything else; a branch comes first. */
  async nameOf(ref: string): Promise<string> {
    if (ref === "") return "HEAD";
    const listed = await this.git("ls-remote", "origin", ref);
    const names = new Set(listed.split("\n").map((line) => line.split("\t")[1]));
    const bare = (prefix: string) => `${prefix}${ref.startsWith(prefix) ? ref.slice(prefix.length) : ref}`;
    const name = ["refs/", "refs/heads/", "refs/tags/"].map(bare).find((each) => names.has(each));
    if (name === undefined) throw new LighterError("invalid", `repository does not contain ref ${ref}`);
    return name;
  }
}

/**
 * Checks out a repository into an empty directory. Resolves with the commit, and the directory that is meant.
 * @throws LighterError ("invalid") with what git said; ("not-supported") without git.
 */
export async function checkOut(source: GitSource, options: CheckoutOptions): Promise<{ commit: string; path: string }> {
  const { remote, ref, subdirectory, checksum, keepGitDir, submodules } = source;
  const { directory } = options;
  const checkout = new Checkout(options, await authorization(source, options));
  await checkout.git("init", "--quiet", "--template=");
  await checkout.git("remote", "add", "--", "origin", remote);
  if (COMMIT.test(ref)) await checkout.fetchCommit(ref);
  else await checkout.fetch(await checkout.nameOf(ref));
  const wanted = COMMIT.test(ref) ? ref : "FETCH_HEAD";
  const commit = (await checkout.git("rev-parse", "--verify", `${wanted}^{commit}`)).trim();
  if (!commit.startsWith(checksum))
    throw new LighterError("invalid", `expected checksum to match ${checksum}, got ${commit}`);
  await checkout.git("checkout", "--quiet", "--force", "--detach", commit);
  if (submodules) await checkout.updateSubmodules();
  if (keepGitDir !== true) rmSync(join(directory, ".git"), { recursive: true, force: true });
  requireDirectory(directory, subdirectory);
  return { commit, path: join(directory, subdirectory) };
}

/**
 * What has git show who the client is, if it has a secret for that: to this repository alone, on github.com to all. It is in the
 * environment, which other users of the host do not see. Source: moby/buildkit source/git.
 */
async function authorization(
  { remote, secrets }: GitSource,
  { secret }: Pick<CheckoutOptions, "secret">,
): Promise<Record<string, string>> {
  if (!/^https?:/i.test(remote)) return {};
  const names = { ...GIT_SECRETS, ...secrets };
  const header = await secret(names.header);
  const token = header === undefined ? await secret(names.token) : undefined;
  if (header === undefined && token === undefined) return {};
  const value = header ?? `basic ${Buffer.from(`x-access-token:${Buffer.from(token!)}`).toString("base64")}`;
  const [scope = remote] = /^https:\/\/(?:www\.)?github\.com\//.exec(remote) ?? [];
  return {
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: `http.${scope}.extraheader`,
    GIT_CONFIG_VALUE_0: `Authorization: ${Buffer.from(value)}`,
  };
}

/** Nothing on the way may be a symlink: it would lead out, or past what the name says. */
function requireDirectory(directory: string, subdirectory: string): void {
  if (subdirectory === "") return;
  const rootFd = openat(AT_FDCWD, bytePath(directory), O_PATH | O_DIRECTORY);
  const fd = tryOpenat2(rootFd, bytePath(subdirectory), O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
  closeSync(rootFd);
  if (fd < 0) throw new LighterError("invalid", `the repository has no directory ${subdirectory}`);
  closeSync(fd);
}
