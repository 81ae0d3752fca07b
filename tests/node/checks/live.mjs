// Subscriptions with the clients that people use: graphql-ws over a WebSocket, graphql-sse over server-sent events.

import { createClient as createSse } from "graphql-sse";
import { createClient as createWs } from "graphql-ws";
import WebSocket from "ws";

export const title = "live events with graphql-ws and graphql-sse";

const EVENTS = "subscription Events($after: Watermark) { events(after: $after) { position watermark } }";

/** Asks one thing over HTTP. */
async function ask(url, query, variables) {
  const response = await fetch(`${url}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

/** Reads the first `count` events after `after`, then one that is recorded meanwhile. */
async function follow(client, url, after, count) {
  const positions = [];
  const events = client.iterate({ query: EVENTS, variables: { after } });
  for await (const { data, errors } of events) {
    if (errors) throw new Error(JSON.stringify(errors));
    positions.push(Number(data.events.position));
    if (positions.length === count) await record(url);
    if (positions.length > count) break;
  }
  return positions;
}

async function record(url) {
  const input = {
    remediationId: "rr-checks",
    occurredAt: "2026-05-04T10:05:40Z",
    category: "checks",
    eventType: "checks.ran",
    payload: {},
  };
  const mutation = "mutation Ran($input: OtherInput!) { recordOther(input: $input) { __typename ... on Rejected { problems { path message } } } }";
  const { recordOther: result } = await ask(url, mutation, { input });
  if (result.__typename !== "Recorded") throw new Error(JSON.stringify(result));
}

export async function check({ url }) {
  const { system } = await ask(url, "{ system { events origin } }");
  const clients = {
    "graphql-ws": createWs({ url: `${url.replace("http", "ws")}/graphql`, webSocketImpl: WebSocket }),
    "graphql-sse": createSse({ url: `${url}/graphql`, fetchFn: fetch }),
  };
  let known = Number(system.events);
  const told = [];
  for (const [name, client] of Object.entries(clients)) {
    const positions = await follow(client, url, system.origin, known);
    known += 1;
    const expected = Array.from({ length: known }, (_, index) => index + 1);
    if (JSON.stringify(positions) !== JSON.stringify(expected)) throw new Error(`${name} was told ${positions}`);
    told.push(`${name} ${positions.length} events`);
    await client.dispose();
  }
  return `each once and in order: ${told.join(", ")}`;
}
