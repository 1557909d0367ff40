/** `top` without a container: what all of them use, redrawn on a terminal until a key ends it, or printed once. */
import { text as decode } from "../../base/bytes.ts";
import { messageOf } from "../../base/errors.ts";
import { isTerminal, readWindowSize, setRawMode } from "../../linux/sys/tty.ts";
import type { UseOfAll } from "../../spec/use.ts";
import { type Context, runCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { readJsonValues } from "../format/json-messages.ts";
import { screenSize } from "../format/look.ts";
import { type Client, encodeQuery, parseJson } from "../http/client.ts";
import { stdout } from "../output.ts";
import { cleanUpOnSignal } from "../streams/signals.ts";
import { plainPage, type Sort, screenPage, sortRows, type View } from "./page.ts";

/** ECMA-48, and xterm's second screen, which leaves what was there as it was. */
const [ENTER, LEAVE] = ["\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"];
const [HOME, CLEAR_REST_OF_LINE, CLEAR_BELOW] = ["\x1b[H", "\x1b[K", "\x1b[J"];
const SORT_KEYS: Readonly<Record<string, Sort>> = {
  c: "cpu",
  m: "memory",
  i: "io",
  n: "network",
  p: "pids",
  a: "name",
};
const MOVES: Readonly<Record<string, number>> = { "\x1b[A": -1, "\x1bOA": -1, "\x1b[B": 1, "\x1bOB": 1 };
/** A key, or the sequence of an arrow. */
const KEY = /\x1b[[O][A-D]|[\s\S]/g;
const QUIT = new Set(["q", "Q", "\x03"]);

export async function topOfAll(context: Context, sort: Sort): Promise<number> {
  const view: View = { sort, isReversed: false, chosen: undefined };
  if (!isTerminal(0) || !isTerminal(1)) return await printOnce(context.client, view);
  const logsOf = await new Screen(context.client, view).run();
  if (logsOf === undefined) return 0;
  const { command } = await import("../commands/logs.ts");
  return await runCommand(command, context, ["--follow", "--tail", "100", logsOf]);
}

function ask(client: Client, isStream: boolean) {
  return client.request({ method: "GET", path: `/lighter/use${encodeQuery({ stream: isStream ? "1" : "0" })}` });
}

async function printOnce(client: Client, view: View): Promise<number> {
  for await (const text of readJsonValues(await ask(client, false)))
    await stdout.text(plainPage(parseJson(text), view));
  return 0;
}

class Screen {
  readonly #client: Client;
  readonly #view: View;
  #use: UseOfAll | undefined;
  /** What the last line says in place of the keys. */
  #note = "";
  /** The container that is to be stopped if the next key says so. */
  #asked: { id: string; name: string } | undefined;
  readonly #ended = Promise.withResolvers<string | undefined>();

  constructor(client: Client, view: View) {
    this.#client = client;
    this.#view = view;
  }

  /** Shows until a key ends it. Resolves with the container whose log is wanted then. */
  async run(): Promise<string | undefined> {
    const response = await ask(this.#client, true);
    const restore = setRawMode(0);
    const onResize = () => void this.#draw();
    const leave = async () => {
      restore();
      await stdout.control(LEAVE);
    };
    const stopCleaning = cleanUpOnSignal(leave);
    process.on("SIGWINCH", onResize);
    try {
      await stdout.control(ENTER);
      this.#follow(response).catch((error: unknown) => this.#ended.reject(error));
      this.#readKeys().catch((error: unknown) => this.#ended.reject(error));
      return await this.#ended.promise;
    } finally {
      process.off("SIGWINCH", onResize);
      stopCleaning();
      response.connection.close();
      await leave();
    }
  }

  async #follow(response: Awaited<ReturnType<typeof ask>>): Promise<void> {
    for await (const text of readJsonValues(response)) {
      this.#use = parseJson<UseOfAll>(text);
      await this.#draw();
    }
    throw new CliError("the daemon closed the connection");
  }

  async #readKeys(): Promise<void> {
    const reader = Bun.stdin.stream().getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      for (const key of decode(piece.value).match(KEY) ?? []) this.#take(key);
      await this.#draw();
    }
    this.#ended.resolve(undefined); // the terminal has gone
  }

  #take(key: string): void {
    const asked = this.#asked;
    this.#asked = undefined;
    this.#note = "";
    if (QUIT.has(key)) return void this.#ended.resolve(undefined);
    if (asked !== undefined) {
      if (key === "y") void this.#stop(asked);
      return;
    }
    const view = this.#view;
    const rows = sortRows(this.#use?.containers ?? [], view);
    const at = rows.findIndex(({ id }) => id === view.chosen);
    const sort = Object.hasOwn(SORT_KEYS, key) ? SORT_KEYS[key] : undefined;
    const move = MOVES[key];
    if (sort !== undefined) Object.assign(view, { sort, isReversed: false });
    else if (key === "r") view.isReversed = !view.isReversed;
    else if (move !== undefined) view.chosen = rows[at < 0 ? 0 : Math.min(Math.max(at + move, 0), rows.length - 1)]?.id;
    else if (key === "l" || key === "k") this.#takeChosen(key, rows[at]);
  }

  #takeChosen(key: "l" | "k", row: { id: string; name: string } | undefined): void {
    if (row === undefined) this.#note = "choose a container with the arrow keys first";
    else if (key === "l") this.#ended.resolve(row.name);
    else {
      this.#asked = row;
      this.#note = `stop ${row.name}? y: yes, another key: no`;
    }
  }

  async #stop({ id, name }: { id: string; name: string }): Promise<void> {
    this.#note = `stopping ${name}`;
    try {
      await this.#client.postEmpty(`/containers/${id}/stop`);
      this.#note = `${name} is stopped`;
    } catch (error) {
      this.#note = messageOf(error);
    }
    await this.#draw();
  }

  async #draw(): Promise<void> {
    if (this.#use === undefined) return;
    const size = screenSize(readWindowSize(1));
    const hasColor = (process.env.NO_COLOR ?? "") === "";
    const lines = screenPage(this.#use, this.#view, { ...size, hasColor, note: this.#note });
    const text = lines.map((line) => `${line}${CLEAR_REST_OF_LINE}`).join("\r\n");
    await stdout.control(`${HOME}${text}${CLEAR_BELOW}`);
  }
}
