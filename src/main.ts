/**
 * One executable, five programs, chosen by argv[0] or by the first argument: the command line, the daemon
 * (`lighter daemon`), the OCI runtime (`lighter runtime`, or a link named `lighter-runtime` or `runc`), and the daemon's helpers, which
 * are not for people: what unpacks layers (`lighter layer-worker`), and what touches files of containers (`lighter file-worker`).
 * Each is imported when it is the one to run: the others' modules cost no start-up time.
 *
 * What they return is the exit code, and all their output is with the kernel by then: process.exit(3) drops what
 * `process.stdout` has not written. (Not even touching `process.stdout` saves 3 ms and 4 MB at every start.)
 */

async function main(): Promise<number> {
  // Bun obeys these; the programs that we start must not inherit them.
  delete process.env.BUN_OPTIONS;
  delete process.env.BUN_BE_BUN;
  const args = process.argv.slice(2);
  const named = /(^|\/)(lighter-runtime|runc)$/.test(process.argv0);
  if (named || args[0] === "runtime") {
    const { ociMain } = await import("./oci/main.ts");
    return await ociMain(named ? args : args.slice(1));
  }
  if (args[0] === "daemon") {
    Bun.unsafe.setJITPolicy(1); // built to suit commands, which are short
    const { daemonMain } = await import("./api/daemon/daemon.ts");
    return await daemonMain(args.slice(1));
  }
  if (args[0] === "layer-worker") {
    Bun.unsafe.setJITPolicy(1);
    const { layerWorkerMain } = await import("./image/worker/main.ts");
    return await layerWorkerMain();
  }
  if (args[0] === "file-worker") {
    const { fileWorkerMain } = await import("./engine/files/file-worker.ts");
    return await fileWorkerMain();
  }
  const { cliMain } = await import("./cli/mod.ts");
  return await cliMain(args);
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error); // not one of the failures that a command knows how to report: a bug, so the stack is wanted
    process.exit(125);
  },
);
