/** `image bootstrap`: makes a Debian or Ubuntu image with mmdebstrap or debootstrap of this host and imports it. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseReference } from "../../spec/image-reference.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import {
  type BootstrapTool,
  bootstrapPlatform,
  checkBootstrapRequest,
  describeMissingKeyring,
  parseBootstrapSource,
  planBootstrap,
} from "../images/bootstrap.ts";
import { importImage } from "../images/import-image.ts";
import { cleanUpOnSignal } from "../streams/signals.ts";
import { errnoText } from "../values/env-file.ts";

const flags = {
  arch: stringFlag("Architecture, by Debian's name (arm64); the host's by default"),
  components: stringFlag("Components of the archive (main,contrib); the tool's own by default"),
  include: listFlag("Packages to install too (a,b)"),
  mirror: stringFlag("URI of the archive; the tool's own by default"),
  variant: stringFlag("Set of packages to begin with", { initial: "minbase" }),
};

export const command = defineCommand({
  name: "image bootstrap",
  usage: "[OPTIONS] DISTRIBUTION:SUITE [NAME[:TAG]]",
  summary: "Make an image of Debian or Ubuntu with mmdebstrap or debootstrap of this host (debian:trixie)",
  flags,
  args: { min: 1, max: 2 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const [source = "", name = source] = args;
  const { arch, components, mirror, variant } = values;
  const request = {
    suite: parseBootstrapSource(source),
    variant,
    include: values.include.join(","),
    mirror,
    components,
    arch,
  };
  checkBootstrapRequest(request);
  parseReference(name);
  const tool = findTool();
  // Without the keys one tool goes on without checking signatures, the other fails with words about "NO_PUBKEY".
  const keysAreMissing = mirror === "" ? describeMissingKeyring(source, existsSync) : undefined;
  if (keysAreMissing !== undefined) throw new CliError(`bootstrap: ${keysAreMissing}`);
  await client.getText("/_ping"); // finds out that the daemon is missing before the work begins

  const folder = mkdtempSync(join(tmpdir(), "lighter-bootstrap-"));
  chmodSync(folder, 0o711); // apt downloads as a user of its own
  const children = new Children(folder);
  const stopWatching = cleanUpOnSignal(() => children.end());
  try {
    await importImage(client, {
      source: children.runAll(planBootstrap(tool, request, folder)),
      name,
      changes: ['CMD ["bash"]'],
      message: "",
      platform: bootstrapPlatform(arch),
    });
  } finally {
    await children.end();
    stopWatching();
  }
  return 0;
}

/** @throws CliError with what to install */
function findTool(): BootstrapTool {
  for (const tool of ["mmdebstrap", "debootstrap"] as const) if (Bun.which(tool) !== null) return tool;
  throw new CliError(
    "bootstrap needs mmdebstrap or debootstrap, and neither is installed. On Debian or Ubuntu: apt-get install mmdebstrap",
  );
}

interface Child {
  readonly process: ChildProcess;
  /** Settles with the exit code, or null if a signal ended the process. */
  readonly closed: Promise<number | null>;
}

/** The processes of the tools, and the folder that they work in. */
class Children {
  readonly #folder: string;
  #current: Child | undefined;
  #ending = false;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Runs commands in order and yields the last one's stdout.
   * @throws CliError if one fails
   */
  async *runAll(commands: readonly string[][]): AsyncGenerator<Uint8Array> {
    for (const [index, argv] of commands.entries()) {
      const isLast = index === commands.length - 1;
      const current = await this.#spawn(argv, isLast);
      if (isLast) for await (const chunk of current.process.stdout ?? []) yield chunk;
      const code = await current.closed;
      // What ended us gives the reason: a signal, or the daemon that refused the archive.
      if (this.#ending) await new Promise(() => {});
      if (code !== 0) throw new CliError(`bootstrap: ${argv[0]} failed${code === null ? "" : ` with code ${code}`}`);
    }
  }

  /** Kills what is running and removes the folder. */
  async end(): Promise<void> {
    this.#ending = true;
    this.#current?.process.kill("SIGKILL");
    await this.#current?.closed;
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  /**
   * Starts a program.
   * @throws CliError if it does not exist
   */
  async #spawn(argv: readonly string[], piped: boolean): Promise<Child> {
    if (this.#ending) throw new CliError("bootstrap: interrupted");
    const [file = "", ...args] = confined(argv);
    const child = spawn(file, args, {
      stdio: ["ignore", piped ? "pipe" : 2, 2],
      env: { ...process.env, TMPDIR: this.#folder },
    });
    const closed = new Promise<number | null>((resolve) => child.once("close", resolve));
    const current = { process: child, closed };
    this.#current = current;
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (cause) => {
        this.#current = undefined;
        reject(new CliError(`bootstrap: run ${file}: ${errnoText(cause)}`));
      });
    });
    return current;
  }
}

/**
 * Wraps a command: if we are root, it runs in pid and mount namespaces of its own. When it is killed, so are all its
 * children, and their mounts in our folder are gone before we remove that (unshare(1)).
 */
function confined(argv: readonly string[]): readonly string[] {
  if (process.geteuid?.() !== 0) return argv;
  return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", ...argv];
}
