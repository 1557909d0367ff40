/**
 * One executable, three programs, chosen by argv[0] or by the first argument: the command line, the daemon
 * (`lighter daemon`) and the OCI runtime (`lighter runtime`, or a link named `lighter-runtime`).
 * Each is imported when it is the one to run: the others' modules cost no start-up time.
 */
import { basename } from "node:path";

async function main(): Promise<number> {
  // Bun obeys these; the programs that we start must not inherit them.
  delete process.env.BUN_OPTIONS;
  delete process.env.BUN_BE_BUN;
  const args = process.argv.slice(2);
  if (basename(process.argv0) === "lighter-runtime" || args[0] === "runtime") {
    console.error("lighter: the OCI runtime command line is not there yet");
    return 1;
  }
  if (args[0] === "daemon") {
    const { daemonMain } = await import("./api/daemon.ts");
    return await daemonMain(args.slice(1));
  }
  const { cliMain } = await import("./cli/mod.ts");
  return await cliMain(args);
}

/**
 * process.exit() drops what a pipe has not taken yet, so end both streams first. (Bun 1.4.5: the callback of an empty
 * `write("")` comes at once, before the bytes written earlier have left; that of `end()` comes after them.)
 */
function exitWhenWritten(code: number): void {
  process.stdout.end(() => process.stderr.end(() => process.exit(code)));
}

// The reader went away (`lighter logs web | head`): nobody is left to tell. 141 is what a shell shows for SIGPIPE.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") console.error(`lighter: writing to standard output: ${error.message}`);
  process.exit(error.code === "EPIPE" ? 141 : 1);
});

main().then(exitWhenWritten, (error: unknown) => {
  console.error(error); // not one of the failures that the command knows how to report: a bug, so the stack is wanted
  exitWhenWritten(125);
});
