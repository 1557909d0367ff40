/** The name that we are called by, and in messages: `runc` for who has put us in its place. */
export const PROGRAM = /(^|\/)runc$/.test(process.argv0) ? "runc" : "lighter-runtime";
