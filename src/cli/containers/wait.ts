/** Waits for a container's end. */
import { EXIT_NOT_RUN } from "../exit.ts";
import { type Client, encodeQuery, parseJson } from "../http/client.ts";
import { printError } from "../output.ts";

/**
 * Begins to wait for a container's end. Settles when the daemon has taken note, so that the end of a container started
 * after that cannot be missed; the inner promise gives the exit code.
 */
export async function beginWait(
  client: Client,
  id: string,
  condition: "next-exit" | "removed" | "not-running",
): Promise<{ exitCode: Promise<number> }> {
  const path = `/containers/${id}/wait${encodeQuery({ condition })}`;
  const response = await client.request({ method: "POST", path });
  const exitCode = response
    .text()
    .then(async (text) => {
      const { StatusCode, Error: failure } = parseJson<{ StatusCode: number; Error?: { Message?: string } | null }>(
        text,
      );
      if (!failure?.Message) return StatusCode;
      await printError(`Error waiting for container: ${failure.Message}`);
      return EXIT_NOT_RUN;
    })
    .catch(async (error: unknown) => {
      await printError(`error waiting for container: ${error instanceof Error ? error.message : String(error)}`);
      return EXIT_NOT_RUN;
    });
  return { exitCode };
}
