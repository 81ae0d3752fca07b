// Opens the pages of `/graphiql` in Chromium, which can reach nothing but the server, and does what a person would do. Needs the
// paths of the binary and of Chromium as its arguments; screenshots go to `target/graphql-checks`.

import { mkdir } from "node:fs/promises";
import path from "node:path";
import { chromium } from "playwright-core";

import { STORIES } from "./browser/stories.mjs";
import { serveDemo } from "./demo.mjs";

const screenshots = path.resolve(import.meta.dirname, "../../target/graphql-checks");

async function main(binary, executablePath) {
  if (!executablePath) throw new Error("name the programs: node browser.mjs path/to/binnacle path/to/chromium");
  await mkdir(screenshots, { recursive: true });
  const server = await serveDemo(binary);
  let failed = 0;
  try {
    const browser = await chromium.launch({ executablePath, args: chromiumArguments() });
    const screenshot = (page, name) => page.screenshot({ path: path.join(screenshots, `${name}.png`) });
    for (const [title, story] of Object.entries(STORIES)) {
      try {
        console.log(`browser-test: ${title}: ${(await story({ browser, url: server.url, screenshot })) ?? "yes"}`);
      } catch (error) {
        failed += 1;
        console.error(`browser-test: ${title}: FAILED: ${error.message}`);
      }
    }
    await browser.close();
  } finally {
    await server.stop();
  }
  process.exitCode = failed > 0 ? 1 : 0;
}

function chromiumArguments() {
  // No name is looked up, so that nothing of the browser's own reaches out either.
  const closed = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"];
  // Chromium refuses to put root into its sandbox.
  return process.getuid() === 0 ? [...closed, "--no-sandbox"] : closed;
}

await main(process.argv[2], process.argv[3]);
