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

/** The daemon. From source it would take a third of a second longer to start, and seven in User-mode Linux. */
export const daemonProgram = join(root, "dist/lighterd");

/** The same, and the OCI runtime: they die at the write point that LIGHTER_TEST_CRASH_AT names. */
export const crashingProgram = join(root, "dist/lighterd-test");
