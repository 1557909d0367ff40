/** Runs a program on its own terminal, for tests that type and read as a person does. */

/** Source: termios(3). */
const ICANON = 0o2;
const ECHO = 0o10;

export interface TerminalOptions {
  rows?: number;
  columns?: number;
  env?: Record<string, string>;
}

export class TerminalSession {
  readonly #terminal: Bun.Terminal;
  readonly #process: Bun.Subprocess;
  #output = "";
  #wake: (() => void) | undefined;

  constructor(argv: readonly string[], options: TerminalOptions = {}) {
    const env = { PATH: process.env.PATH ?? "", TERM: "xterm", HOME: process.env.HOME ?? "/", ...options.env };
    // The terminal is given as options, not as a Bun.Terminal: only then it is the program's controlling terminal, which sends
    // SIGWINCH.
    this.#process = Bun.spawn([...argv], {
      terminal: {
        rows: options.rows ?? 24,
        cols: options.columns ?? 80,
        data: (_terminal, data) => {
          this.#output += new TextDecoder().decode(data);
          this.#wake?.();
        },
      },
      env,
      cwd: "/",
    });
    const terminal = this.#process.terminal;
    if (terminal === undefined) throw new Error("Bun gave the program no terminal");
    this.#terminal = terminal;
  }

  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Whether the program reads keys one by one, without echo. */
  get isRaw(): boolean {
    return (this.#terminal.localFlags & (ICANON | ECHO)) === 0;
  }

  get echoes(): boolean {
    return (this.#terminal.localFlags & ECHO) !== 0;
  }

  type(text: string): void {
    this.#terminal.write(text);
  }

  resize(rows: number, columns: number): void {
    this.#terminal.resize(columns, rows);
  }

  /** Waits for `text` in all output so far; the error contains that output. */
  async shows(text: string): Promise<void> {
    if (!(await this.showsWithin(text, 20_000)))
      throw new Error(`no ${JSON.stringify(text)} on the terminal, only ${JSON.stringify(this.#output)}`);
  }

  /** Waits as `shows` does; resolves with false if it takes too long. */
  async showsWithin(text: string, ms: number): Promise<boolean> {
    const deadline = performance.now() + ms;
    while (!this.#output.includes(text)) {
      const left = deadline - performance.now();
      if (left <= 0) return false;
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#wake = resolve;
        }),
        Bun.sleep(Math.min(left, 500)),
      ]);
    }
    return true;
  }

  /** Waits for the exit code, or 128 + signal. */
  async ended(): Promise<number> {
    await this.#process.exited;
    const signal = this.#process.signalCode;
    return signal === null ? (this.#process.exitCode ?? -1) : 128 + (SIGNAL_NUMBERS[signal] ?? 0);
  }

  close(): void {
    this.#process.kill("SIGKILL");
    this.#terminal.close();
  }
}

const SIGNAL_NUMBERS: Record<string, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGTERM: 15,
};
