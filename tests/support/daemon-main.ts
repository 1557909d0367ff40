/** The first file of dist/lighterd-test. */
import "./crash-at.ts";
import "../../src/main.ts";
