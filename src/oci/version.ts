/** The program's name in messages: `runc` if it was called by that name. */
export const programName = () => (/(^|\/)runc$/.test(process.argv0) ? "runc" : "lighter-runtime");
