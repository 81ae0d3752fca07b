// A Binnacle to test against: the binary's demo, a throw-away store with a small history.

import { spawn } from "node:child_process";
import path from "node:path";
import readline from "node:readline";

/** The longest that the demo may take to be ready. */
const READY_MS = 60_000;

/** Starts `binnacle demo` on a port that the kernel chooses; resolves once it tells its address. */
export async function serveDemo(binary) {
  const child = spawn(
    path.resolve(binary),
    ["demo", "--remediations", "30", "--listen", "127.0.0.1:0", "--embedder", "none", "--color", "never"],
    { stdio: ["ignore", "pipe", "pipe"], cwd: "/" }, // away from any file of settings
  );
  const log = [];
  readline.createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  const url = await new Promise((resolve, reject) => {
    const refuse = (why) => reject(new Error(`${why}:\n${log.join("\n")}`));
    readline.createInterface({ input: child.stdout }).on("line", (line) => {
      const told = line.match(/(http:\/\/[^/\s]+)\/graphql$/);
      if (told) resolve(told[1]);
    });
    ended.then((code) => refuse(`the demo ended with ${code}`));
    setTimeout(() => refuse("the demo was not ready in time"), READY_MS).unref();
  }).catch(async (error) => {
    await stop();
    throw error;
  });
  return { url, stop };
}
