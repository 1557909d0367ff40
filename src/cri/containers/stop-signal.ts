/** Names of the signals that a pod may ask for. Source: Signal in api.proto: 0 is the image's, then the names in alphabetical order. */
import { invalid } from "../errors.ts";

const PLAIN = [
  ...["ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL"],
  ...["PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1"],
  ...["USR2", "VTALRM", "WINCH", "XCPU", "XFSZ"],
];
const FIRST_REALTIME = PLAIN.length + 1;
const LAST = 65;

/** The name, or the number of a real-time signal, of which the first is 34; undefined for the image's. @throws LighterError "invalid" */
export function stopSignalName(number: number): string | undefined {
  if (number === 0) return undefined;
  if (number < 0 || number > LAST) throw invalid(`there is no stop signal ${number}`);
  return number < FIRST_REALTIME ? `SIG${PLAIN[number - 1]}` : String(34 + number - FIRST_REALTIME);
}
