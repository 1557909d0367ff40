/**
 * The program under test: from source, on Bun, or the file that LIGHTER_TEST_PROGRAM names, such as dist/lighter-small: then its
 * command line and OCI runtime are tested in the same way.
 */
import { join, resolve } from "node:path";

const root = join(import.meta.dirname, "../..");
const { LIGHTER_TEST_PROGRAM } = process.env;

/** The OCI runtime, which a link named lighter-runtime leads to. */
export const runtimeProgram = resolve(root, LIGHTER_TEST_PROGRAM ?? "dist/lighter-runtime");

export const programCommand: readonly string[] = LIGHTER_TEST_PROGRAM
  ? [resolve(root, LIGHTER_TEST_PROGRAM)]
  : [process.execPath, "--no-env-file", "--config=/dev/null", join(root, "src/main.ts")];
