// Lets other people's tools judge Binnacle: starts a demo, runs each check in `checks` against it, one after the other, and tells
// what each one found. Needs the binary's path as its argument.

import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";

import { serveDemo } from "./demo.mjs";

const root = path.resolve(import.meta.dirname, "../..");
const reports = path.join(root, "target", "graphql-checks");

async function main(binary, only) {
  if (!binary) throw new Error("name the binary: node run.mjs path/to/binnacle [a check's name]");
  await mkdir(reports, { recursive: true });
  const server = await serveDemo(binary);
  let failed = 0;
  try {
    const files = (await readdir(path.join(import.meta.dirname, "checks"))).filter((name) => name.endsWith(".mjs")).sort();
    for (const file of files.filter((name) => !only || name === `${only}.mjs`)) {
      const { title, check } = await import(path.join(import.meta.dirname, "checks", file));
      try {
        console.log(`graphql-checks: ${title}: ${await check({ url: server.url, root, reports })}`);
      } catch (error) {
        failed += 1;
        console.error(`graphql-checks: ${title}: FAILED: ${error.message}`);
      }
    }
  } finally {
    await server.stop();
  }
  process.exitCode = failed > 0 ? 1 : 0;
}

await main(process.argv[2], process.argv[3]);
