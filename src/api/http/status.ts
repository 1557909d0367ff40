/** Maps errors to HTTP answers. */
import { type ErrorCode, LighterError, messageOf } from "../../base/errors.ts";

/** The HTTP status of each error code. No other place decides that. */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid: 400,
  "exec-not-found": 400,
  "exec-denied": 400,
  unauthorized: 401,
  forbidden: 403,
  "not-found": 404,
  "timed-out": 408,
  conflict: 409,
  kernel: 500,
  internal: 500,
  "not-supported": 501,
  unavailable: 503,
};

/**
 * Runs a request to a registry. If the registry does not answer, the status is 500, as with Docker: this daemon itself is
 * available.
 */
export function withRegistry<T>(act: () => Promise<T>): Promise<T> {
  return asInternal(["unavailable"], act);
}

/** Runs a pull or push. A user whom the registry refuses gets 500, too: Docker's clients would ask for a login at 401. */
export function withTransfer<T>(act: () => Promise<T>): Promise<T> {
  return asInternal(["unavailable", "unauthorized"], act);
}

async function asInternal<T>(codes: readonly ErrorCode[], act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof LighterError) || !codes.includes(error.code)) throw error;
    throw new LighterError("internal", error.message, { ...error.detail, cause: error });
  }
}

interface ErrorAnswer {
  status: number;
  message: string;
}

/** The answer for anything thrown. */
export function answerOf(error: unknown): ErrorAnswer {
  if (!(error instanceof LighterError)) return { status: 500, message: messageOf(error) };
  const { hint } = error.detail;
  return { status: STATUS[error.code], message: hint === undefined ? error.message : `${error.message} (${hint})` };
}
