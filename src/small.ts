/**
 * The program of the short commands, on the small engine: the command line and the OCI runtime, from the same sources as
 * `main.ts`. What needs more than this engine has is chosen before anything is read or written, and becomes `lighterd`.
 */
import "./shims/globals.ts";
import { cliMain } from "./cli/mod.ts";
import { needsBun } from "./needs-bun.ts";
import { ociMain } from "./oci/main.ts";
import { becomeBun } from "./shims/hand-over.ts";
import { host } from "./shims/host.ts";

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  const named = /(^|\/)(lighter-runtime|runc)$/.test(process.argv0);
  if (named || args[0] === "runtime") return await ociMain(named ? args : args.slice(1));
  if (needsBun(args, process.env)) return becomeBun();
  return await cliMain(args, becomeBun);
}

host.onStart(() => {
  main().then(
    (code) => process.exit(code),
    (error: unknown) => {
      console.error(error); // not one of the failures that a command knows how to report: a bug, so the stack is wanted
      process.exit(125);
    },
  );
});
