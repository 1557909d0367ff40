/** `build --debug`: a shell where a command has failed, on our terminal or between our stdin and stdout. */
import { isTerminal, readWindowSize, setRawMode } from "../../linux/sys/tty.ts";
import { CliError } from "../exit.ts";
import { stderr, stdout } from "../output.ts";
import type { StreamProvider } from "./build-session.ts";

/** What the daemon says of the command. */
export interface FailedCommand {
  readonly command: string;
  readonly exitCode: number;
}

type Sender = Parameters<StreamProvider>[1];

/** One shell; other commands that fail meanwhile get none. */
export class DebugShell {
  readonly #begun = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  /** What comes before we have begun to show it waits for that. */
  #shown: Promise<unknown> = this.#begun.promise;
  #input: Sender | undefined;
  #sizes: Sender | undefined;

  /** What the session serves. */
  providers(): { shell: StreamProvider; "shell-sizes": StreamProvider } {
    return {
      shell: async (_, sender) => {
        if (this.#input !== undefined) return undefined;
        this.#input = sender;
        const end = () => void this.#shown.then(() => this.#ended.resolve(), this.#ended.reject);
        return {
          data: (bytes) => {
            this.#shown = this.#shown.then(() => stdout.write(bytes));
            this.#shown.catch(this.#ended.reject);
          },
          end,
          close: end,
        };
      },
      "shell-sizes": async (_, sender) => {
        if (!isTerminal(0) || !isTerminal(1)) return undefined;
        this.#sizes = sender;
        return { data: () => {}, end: () => {}, close: () => {} };
      },
    };
  }

  /** Lets the user have the shell. Resolves when it has ended. @throws OutputClosed */
  async use({ command, exitCode }: FailedCommand): Promise<void> {
    const reader = Bun.stdin.stream().getReader();
    let leave = () => {};
    await stderr.text(
      `------\n${command}: exit code ${exitCode}\nThis is a shell where it has failed. It ends by "exit", and nothing of what it changes is kept.\n------\n`,
    );
    if (this.#sizes !== undefined) leave = enterTerminal(this.#sizes);
    this.#begun.resolve();
    const { send, end } = this.#input!;
    const copy = async () => {
      for (let piece = await reader.read(); !piece.done; piece = await reader.read())
        await send(new Uint8Array(piece.value));
      end();
    };
    copy().catch(end); // stdin was closed by the shell
    try {
      await this.#ended.promise;
    } finally {
      leave();
      await reader.cancel().catch(() => {}); // it cannot be read any more
    }
  }
}

/** Makes our terminal raw, and tells its sizes. Returns what undoes it. */
function enterTerminal({ send }: Sender): () => void {
  const tell = () => {
    const { rows, columns } = readWindowSize(0) ?? { rows: 0, columns: 0 };
    if (rows > 0 || columns > 0) void send(Buffer.from(`${rows} ${columns}\n`));
  };
  const restore = setRawMode(0);
  process.on("SIGWINCH", tell);
  tell();
  return () => {
    process.off("SIGWINCH", tell);
    restore();
  };
}

/** @throws CliError if stdin has something else to give */
export function requireFreeStdin(context: string, file: string): void {
  if (context === "-" || file === "-")
    throw new CliError("--debug needs stdin, which the context or the Dockerfile comes from");
}
