import { expect } from "bun:test";
import { existsSync } from "node:fs";
import { HYBRID_HOST } from "../../../tests/golden/config/host.ts";
import { testIf } from "../../../tests/support/test-if.ts";
import { offsetsFromNow } from "./machine-clocks.ts";

testIf(existsSync("/proc/self/timens_offsets"), "the kernel has no time namespaces")(
  "clocks begin anew where there are time namespaces, and the right to set them",
  () => {
    expect(offsetsFromNow(HYBRID_HOST)?.boottime).toEqual({ secs: expect.any(Number), nanosecs: expect.any(Number) });
    expect(offsetsFromNow({ ...HYBRID_HOST, timeNamespaces: false })).toBeUndefined();
    expect(offsetsFromNow({ ...HYBRID_HOST, capabilities: ["CAP_SYS_ADMIN"] })).toBeUndefined();
  },
);
