/** The OCI runtime's command line on a stage. */
import { afterEach, expect } from "bun:test";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OciConfig } from "../../src/spec/oci-runtime.ts";
import { lighterProgram } from "./program.ts";
import type { Stage } from "./stage.ts";

export interface CommandRan {
  code: number;
  stdout: string;
  stderr: string;
}

/** The OCI runtime's command line, with containers on a stage. They are deleted after each test. */
export class RuntimeCommand {
  readonly #started: string[] = [];

  constructor(
    readonly stage: Stage,
    readonly globalFlags: readonly string[] = [],
  ) {
    afterEach(async () => {
      for (const id of this.#started.splice(0)) expect((await this.run(["delete", "--force", id])).stderr).toBe("");
    });
  }

  /** The program and its arguments. */
  line(args: readonly string[]): [program: string, ...args: string[]] {
    return [lighterProgram, "runtime", "--root", join(this.stage.directory, "state"), ...this.globalFlags, ...args];
  }

  /** Runs one command; `stdin` is its input. */
  async run(args: readonly string[], stdin = ""): Promise<CommandRan> {
    return await new Promise((resolve) => {
      const [program, ...line] = this.line(args);
      const child = execFile(program, line, (_, stdout, stderr) =>
        resolve({ code: child.exitCode ?? -1, stdout, stderr }),
      );
      child.stdin!.on("error", () => {}).end(stdin);
    });
  }

  /** Starts a container and returns its id. */
  async start(args: readonly string[], change: (config: OciConfig) => void = () => {}): Promise<string> {
    const id = this.stage.newId();
    const bundle = join(this.stage.directory, `bundle-${id}`);
    mkdirSync(bundle);
    writeFileSync(join(bundle, "config.json"), JSON.stringify(this.stage.config(id, args, change)));
    this.#started.push(id);
    // The command's stdio becomes the container's, so nothing here may wait for its end.
    const [program, ...line] = this.line(["run", "--detach", "--bundle", bundle, id]);
    const child = spawn(program, line, {
      stdio: ["ignore", "ignore", "inherit"],
    });
    await once(child, "close");
    expect(child.exitCode).toBe(0);
    return id;
  }

  /** The container's status, such as "running"; undefined if there is no such container. */
  async status(id: string): Promise<string | undefined> {
    const { code, stdout } = await this.run(["state", id]);
    return code === 0 ? (JSON.parse(stdout) as { status: string }).status : undefined;
  }
}
