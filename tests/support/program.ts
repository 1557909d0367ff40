/**
 * The program under test: what is in dist/, or the file that LIGHTER_TEST_PROGRAM names, such as dist/lighterd: then its command
 * line and OCI runtime are tested in the same way.
 */
import { join, resolve } from "node:path";

const root = join(import.meta.dirname, "../..");
const { LIGHTER_TEST_PROGRAM } = process.env;

/** The OCI runtime, which a link named lighter-runtime leads to. */
export const runtimeProgram = resolve(root, LIGHTER_TEST_PROGRAM ?? "dist/lighter-runtime");

/** The command line. */
export const lighterProgram = resolve(root, LIGHTER_TEST_PROGRAM ?? "dist/lighter");
