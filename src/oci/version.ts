/** The name that we are called by, and in messages. */
export const PROGRAM = "lighter-runtime";
