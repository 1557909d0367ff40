/** Reads the daemon's answer to a build, shows its progress, and returns what was made. */
import {
  BUILD_FAILURE_ID,
  BUILD_RESULT_ID,
  BUILD_SHELL_ID,
  type BuildFailure,
  SOLVE_STATUS_ID,
  type SolveStatus,
} from "../../spec/solve-status.ts";
import { CliError } from "../exit.ts";
import { readJsonValues } from "../format/json-messages.ts";
import { parseJson } from "../http/client.ts";
import type { Response } from "../http/http.ts";
import { stderr } from "../output.ts";
import type { ProgressKind } from "./build-flags.ts";
import type { FailedCommand } from "./debug-shell.ts";
import { formatFailure, formatWarnings } from "./failure-text.ts";
import { PlainDisplay } from "./plain-display.ts";
import { SolveState } from "./solve-state.ts";

/** A message of the answer. Another daemon than ours sends `stream` in place of our own messages. */
interface Message {
  readonly id?: string;
  readonly aux?: Readonly<Record<string, unknown>>;
  readonly stream?: string;
  readonly status?: string;
  readonly error?: string;
  readonly errorDetail?: { readonly message?: string };
}

interface Built {
  readonly id: string;
  /** What was made, under BuildKit's names. */
  readonly result: Readonly<Record<string, unknown>>;
}

/** Shows what happens; texts are those of people who write Dockerfiles, so control characters in them are escaped. */
interface Display {
  update(status: SolveStatus): void | Promise<void>;
  end(): void | Promise<void>;
  /** Shows nothing as long as `work` has the terminal. */
  pauseFor(work: () => Promise<void>): Promise<void>;
}

/** `shell` is called where a command has failed, and resolves when nobody looks around there any more. @throws CliError with what has failed */
export async function showBuild(
  response: Response,
  kind: ProgressKind,
  shell: (failed: FailedCommand) => Promise<void>,
): Promise<Built> {
  const state = new SolveState();
  const display = await openDisplay(kind, state);
  let failure: BuildFailure = {};
  let error: string | undefined;
  let [id, result]: [string, Built["result"]] = ["", {}];
  try {
    for await (const value of readJsonValues(response)) {
      const message = parseJson<Message>(value);
      if (message.id === SOLVE_STATUS_ID) await display.update(message.aux as SolveStatus);
      else if (message.id === BUILD_FAILURE_ID) failure = message.aux as BuildFailure;
      else if (message.id === BUILD_SHELL_ID)
        await display.pauseFor(() => shell(message.aux as unknown as FailedCommand));
      else if (message.id === BUILD_RESULT_ID) result = message.aux ?? {};
      else if (typeof message.aux?.ID === "string") id = message.aux.ID;
      else if (message.error !== undefined) error = message.errorDetail?.message ?? message.error;
      else if (message.stream !== undefined && kind !== "quiet") await stderr.text(message.stream);
    }
  } finally {
    await display.end();
  }
  if (error !== undefined) {
    if (kind !== "quiet" && kind !== "rawjson") await stderr.text(formatFailure(state, failure));
    throw new CliError(`ERROR: failed to solve: ${error}`);
  }
  if (kind !== "quiet" && kind !== "rawjson") await stderr.text(formatWarnings(state.warnings));
  return { id, result };
}

const PLAIN_INTERVAL_MS = 1000;

async function openDisplay(kind: ProgressKind, state: SolveState): Promise<Display> {
  const unheld = { end: () => {}, pauseFor: (work: () => Promise<void>) => work() };
  if (kind === "rawjson") return { ...unheld, update: (status) => stderr.control(`${JSON.stringify(status)}\n`) };
  if (kind === "quiet") return { ...unheld, update: (status) => void state.apply(status) };
  const { isTerminal, readWindowSize } = await import("../../linux/sys/tty.ts");
  if (kind === "tty" && !isTerminal(2)) throw new CliError("--progress=tty needs a terminal at stderr");
  if (kind !== "plain" && isTerminal(2)) {
    const { TerminalDisplay } = await import("./terminal-display.ts");
    return new TerminalDisplay(state, { stream: stderr, size: () => readWindowSize(2) });
  }
  const plain = new PlainDisplay(state);
  const update = (status: SolveStatus) => stderr.text(plain.update(status));
  const begin = () => setInterval(() => update({}), PLAIN_INTERVAL_MS); // what waits for another step has waited long enough
  let timer = begin();
  const end = () => {
    clearInterval(timer);
    return stderr.text(plain.end());
  };
  return {
    ...{ update, end },
    pauseFor: async (work) => {
      await end();
      await work();
      timer = begin();
    },
  };
}
