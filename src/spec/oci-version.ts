/** The runtime-spec that we follow. */
export const SPEC_VERSION = "1.2.0";
