// Lets other people's tools judge Binnacle: starts the binary's demo, a throw-away store with a small history, runs each check in `checks` against it,
// one after the other, and tells what each one found. Needs the binary's path as its argument.

import { spawn } from "node:child_process";
import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import readline from "node:readline";

/** The longest that the demo may take to be ready. */
const READY_MS = 60_000;

const root = path.resolve(import.meta.dirname, "../..");
const reports = path.join(root, "target", "graphql-checks");

/** Starts `binnacle demo` on a port that the kernel chooses; resolves once it tells its address. */
async function serve(binary) {
  const child = spawn(
    binary,
    ["demo", "--remediations", "30", "--listen", "127.0.0.1:0", "--embedder", "none", "--color", "never"],
    { stdio: ["ignore", "pipe", "pipe"], cwd: "/" }, // away from any file of settings
  );
  const log = [];
  readline.createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const url = await new Promise((resolve, reject) => {
    const refuse = (why) => reject(new Error(`${why}:\n${log.join("\n")}`));
    readline.createInterface({ input: child.stdout }).on("line", (line) => {
      const told = line.match(/(http:\/\/[^/\s]+)\/graphql$/);
      if (told) resolve(told[1]);
    });
    ended.then((code) => refuse(`the demo ended with ${code}`));
    setTimeout(() => refuse("the demo was not ready in time"), READY_MS).unref();
  });
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  return { url, stop };
}

async function main(binary, only) {
  if (!binary) throw new Error("name the binary: node run.mjs path/to/binnacle [a check's name]");
  await mkdir(reports, { recursive: true });
  const server = await serve(path.resolve(binary));
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
