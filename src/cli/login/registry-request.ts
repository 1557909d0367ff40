/** Sends requests that the daemon passes on to a registry, with the user's credentials. */

import { messageOf } from "../../base/errors.ts";
import { ApiError } from "../exit.ts";
import type { Client } from "../http/client.ts";
import type { Request, Response } from "../http/http.ts";
import { printError, printLine } from "../output.ts";
import { CredentialStore, encodeAuthHeader } from "./credentials.ts";
import type { AuthConfig } from "./docker-config.ts";

/**
 * Sends `request` with the credentials stored for `server`. If the daemon says that they are wrong and `action` is
 * given ("pull"), asks once for others. A helper that fails means no credentials, as many images need none.
 * @throws ApiError
 */
export async function requestWithCredentials(
  client: Client,
  request: Request,
  server: string,
  action?: string,
): Promise<Response> {
  const store = await CredentialStore.open();
  const send = (auth: AuthConfig) =>
    client.request({ ...request, headers: { "X-Registry-Auth": encodeAuthHeader(auth) } });
  try {
    return await send(await store.get(server).catch(() => ({})));
  } catch (error) {
    if (action === undefined || !(error instanceof ApiError) || error.status !== 401) throw error;
    await printLine(`\nPlease login prior to ${action}:`);
    const { completeLogin, storedLogin } = await import("./registry-login.ts");
    const known = await storedLogin(store, server).catch(async (cause: unknown) => {
      await printError(`Unable to retrieve stored credentials for ${server}, error: ${messageOf(cause)}.`);
      return { serveraddress: server };
    });
    return send(await completeLogin(known, "", ""));
  }
}
