/**
 * Processes that run as a container's does and that nobody sees: they have no row, no events and no log, and end with this daemon.
 * The next one ends those that a killed one has left.
 *
 *   run directory   as a container's; beside the socket is GUEST_FILE, which names the cgroup
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { SIGKILL } from "../../base/signals.ts";
import { currentSpan } from "../../base/spans.ts";
import { writePoint } from "../../base/write-point.ts";
import { rootMountpointIn } from "../../runtime/run-files.ts";
import type { AttachPlan, Runtime, StartRequest, Supervised } from "../../runtime/types.ts";
import { cgroupsPathOf } from "../config/mod.ts";
import { Container, NO_ROWS } from "../container.ts";
import { Endpoints } from "../endpoints/endpoints.ts";
import type { Engine } from "../engine.ts";
import { endProcessOf } from "../life/run-directory.ts";
import type { ContainerPaths, EnginePaths } from "../state/paths.ts";
import type { ContainerRecord } from "../state/record.ts";
import { runPoststopHooks, startWithHooks } from "./hooks.ts";

interface GuestRequest {
  record: ContainerRecord;
  paths: ContainerPaths;
  attach: readonly AttachPlan[];
  /** Whether a client writes to its standard input. */
  hasStdin?: boolean;
  hasTerminal?: boolean;
  /** Changes the start that the record is planned to. */
  change?: (request: StartRequest) => StartRequest;
  signal: AbortSignal;
}

const GUEST_FILE = "guest.json";

export class Guests {
  readonly #engine: Engine;
  readonly #guests = new Map<string, Container>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  list(): Container[] {
    return [...this.#guests.values()];
  }

  /**
   * Runs a process to its end, which `signal` hastens, and calls `use` meanwhile. Resolves with the exit code when nothing is left
   * of it but its files.
   */
  async run(request: GuestRequest, use: (process: Supervised) => Promise<void>): Promise<number> {
    const { record, paths, signal } = request;
    const guest = new Container(record, this.#engine.events, NO_ROWS);
    this.#guests.set(record.id, guest);
    try {
      return await this.#withIds(guest, () => this.#run(guest, request, use));
    } finally {
      this.#guests.delete(record.id);
      await rm(paths.runDirectory, { recursive: true, force: true });
      signal.throwIfAborted();
    }
  }

  /** Calls `use` while the guest has ids. */
  async #withIds<T>(guest: Container, use: () => Promise<T>): Promise<T> {
    const { userNamespaces } = this.#engine;
    guest.remember({ idMappings: userNamespaces.assign(guest.record) });
    userNamespaces.claim(guest.record);
    try {
      return await use();
    } finally {
      userNamespaces.release(guest.id);
    }
  }

  async #run(
    guest: Container,
    { record, paths, attach, hasStdin = false, hasTerminal = false, change = (plain) => plain, signal }: GuestRequest,
    use: (process: Supervised) => Promise<void>,
  ): Promise<number> {
    const { planner, endpoints, runtime } = this.#engine;
    await planner.prepareProfile(record);
    const network = await endpoints.begin(guest);
    try {
      const plan = await planner.planStart(record, paths, { first: true, dryRun: false });
      signal.throwIfAborted();
      writeGuestFile(record, paths);
      const request = change({
        ...{ id: record.id, ...plan, ...network, runDirectory: paths.runDirectory, attach },
        isTraced: currentSpan()?.isWanted ?? false,
        stdio: { terminal: hasTerminal, stdin: hasStdin },
      });
      writePoint("start guest");
      const supervised = await startWithHooks(runtime, request, rootMountpointIn(this.#engine.paths.execRoot));
      return await untilGone(supervised, signal, use);
    } finally {
      await runPoststopHooks(runtime, record.id, paths.runDirectory);
      const { networking } = record;
      guest.change({ networking: Endpoints.cleared(networking) });
      endpoints.end(guest, networking, false);
    }
  }
}

async function untilGone(
  supervised: Supervised,
  signal: AbortSignal,
  use: (process: Supervised) => Promise<void>,
): Promise<number> {
  const kill = () => void supervised.signal(SIGKILL).catch(() => {}); // its supervisor has gone, and it with that
  signal.addEventListener("abort", kill);
  if (signal.aborted) kill();
  try {
    try {
      await use(supervised);
    } catch (error) {
      kill();
      throw error;
    }
    return (await supervised.exited).exitCode;
  } finally {
    signal.removeEventListener("abort", kill);
    await supervised.gone;
  }
}

function writeGuestFile(record: ContainerRecord, { runDirectory }: ContainerPaths): void {
  mkdirSync(runDirectory, { recursive: true, mode: 0o700 });
  const content = { id: record.id, cgroupsPath: cgroupsPathOf(record) };
  writeFileSync(join(runDirectory, GUEST_FILE), JSON.stringify(content), { mode: 0o600 });
}

/** Ends what a daemon that was killed has left. */
export async function endLeftGuests(runtime: Runtime, paths: EnginePaths): Promise<void> {
  if (!existsSync(paths.stepDirectories)) return;
  for (const name of readdirSync(paths.stepDirectories)) {
    const runDirectory = join(paths.stepDirectories, name);
    try {
      await endLeftGuest(runtime, runDirectory);
      rmSync(runDirectory, { recursive: true, force: true });
    } catch (error) {
      log.error(`end step ${name} of a build: ${messageOf(error)}`);
    }
  }
}

async function endLeftGuest(runtime: Runtime, runDirectory: string): Promise<void> {
  await endProcessOf(runtime, runDirectory);
  const { id, cgroupsPath } = JSON.parse(readFileSync(join(runDirectory, GUEST_FILE), "utf8"));
  await runPoststopHooks(runtime, id, runDirectory);
  await runtime.cleanup({ id, config: { ociVersion: "1.2.0", linux: { cgroupsPath } }, runDirectory });
}
