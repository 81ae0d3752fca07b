// @ts-check
// Records audits with a client that is generated from `openapi.json`, and reads them back with it. Needs the binary's path as its
// argument. `tsc` reads this file too: what it sends and what it reads has to be of the generated types.

/** @import { paths } from "../../../target/client-checks/typescript/binnacle.ts" */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";

import createClient from "openapi-fetch";

import { serveDemo } from "../demo.mjs";

/** The longest that lists may take to show what is recorded. */
const SHOWN_MS = 10_000;

const sample = path.join(import.meta.dirname, "../../../docs/examples/kubernaut-event.json");

/** @param {string} binary */
async function main(binary) {
  const server = await serveDemo(binary);
  try {
    /** @type {import("openapi-fetch").Client<paths>} */
    const client = createClient({ baseUrl: server.url });
    const remediation = `rr-client-${randomUUID().slice(0, 8)}`;
    await records(client, remediation);
    await refuses(client, remediation);
  } finally {
    await server.stop();
  }
  console.log("client-checks: typescript: an audit and an event are recorded, read back by id and in the list, and a mistake is told");
}

/**
 * @param {import("openapi-fetch").Client<paths>} client
 * @param {string} remediation
 */
async function records(client, remediation) {
  const [audit, event] = [randomUUID(), randomUUID()];
  const recorded = await client.POST("/api/v1/audit/notifications", { body: notification(remediation, audit, "2026-05-04T10:10:09Z") });
  assert.equal(recorded.response.status, 201, JSON.stringify(recorded.error));
  assert.ok(recorded.data && "event_id" in recorded.data);
  assert.equal(recorded.data.event_id, audit);

  const envelope = { ...JSON.parse(await readFile(sample, "utf8")), event_id: event, correlation_id: remediation };
  const created = await client.POST("/api/v1/audit/events", { body: envelope });
  assert.equal(created.data?.event_id, event, JSON.stringify(created.error));

  const read = await client.GET("/api/v1/audit/events/{event_id}", { params: { path: { event_id: event } } });
  assert.equal(read.data?.correlation_id, remediation, JSON.stringify(read.error));
  assert.equal(read.data?.event_type, envelope.event_type);
  assert.deepEqual(read.data?.event_data, envelope.event_data);

  const ids = await listed(client, remediation, 2);
  assert.deepEqual(ids, [audit, event].sort());
}

/**
 * @param {import("openapi-fetch").Client<paths>} client
 * @param {string} remediation
 */
async function refuses(client, remediation) {
  const { error, response } = await client.POST("/api/v1/audit/notifications", {
    body: notification(remediation, randomUUID(), "2126-05-04T10:10:09Z"),
  });
  assert.equal(response.status, 422);
  assert.equal(error?.type, "/problems/invalid-audit");
  assert.equal(error?.errors?.[0]?.pointer, "/occurred_at");
}

/**
 * @param {string} remediation
 * @param {string} id
 * @param {string} at
 */
function notification(remediation, id, at) {
  return {
    event_id: id,
    remediation_id: remediation,
    occurred_at: at,
    notification_id: `nt-${remediation}`,
    channel: /** @type {const} */ ("slack"),
    status: /** @type {const} */ ("delivered"),
  };
}

/**
 * The ids of the events of a remediation, in their order, once there are as many.
 * @param {import("openapi-fetch").Client<paths>} client
 * @param {string} remediation
 * @param {number} count
 */
async function listed(client, remediation, count) {
  const deadline = Date.now() + SHOWN_MS;
  for (;;) {
    const { data, error } = await client.GET("/api/v1/audit/events", { params: { query: { correlation_id: remediation } } });
    assert.ok(data, JSON.stringify(error));
    if (data.data.length >= count || Date.now() > deadline) return data.data.map((event) => event.event_id).sort();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

await main(process.argv[2]);
