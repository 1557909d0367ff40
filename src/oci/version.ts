/** The name that we are called by, and in messages. */
export const PROGRAM = "lighter-runtime";
/** The runtime-spec that we follow. */
export const SPEC_VERSION = "1.2.0";
