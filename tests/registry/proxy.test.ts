import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { FakeRegistry } from "../support/fake-registry.ts";

const transport = join(import.meta.dirname, "../../src/image/registry/transport.ts");

/** GETs a URL in a process with a proxy in its environment; prints the status. */
async function getWithProxy(url: string, proxy: string): Promise<string> {
  const script = `
    const { send } = await import(${JSON.stringify(transport)});
    const response = await send({ method: "GET", url: ${JSON.stringify(url)} });
    await response.discard();
    console.log(response.status);`;
  const env = { PATH: process.env.PATH ?? "", HTTP_PROXY: proxy, http_proxy: proxy };
  const child = spawn(process.execPath, ["-e", script], { env, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  for await (const chunk of child.stdout) output += chunk;
  return output.trim();
}

test("the environment's proxy is used, but not for loopback", async () => {
  await using registry = await FakeRegistry.start();
  await using proxy = await FakeRegistry.start();
  proxy.inject({ path: "http://registry.example/v2/", fault: { kind: "answer", status: 204 } });
  expect(await getWithProxy("http://registry.example/v2/", proxy.url)).toBe("204");
  expect(proxy.requests).toHaveLength(1);
  expect(await getWithProxy(`${registry.url}/v2/`, proxy.url)).toBe("200");
  expect(proxy.requests).toHaveLength(1);
});
