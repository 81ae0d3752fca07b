// What the pages of `/graphiql` must do for a person. Each story gets a browser, the server's address and where to put
// screenshots, and returns what is worth telling, or throws.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { answerShows, chooseTab, openGraphiql, openPage, paste, press, shows, tabNames, until } from "./graphiql.mjs";

/** How many audits are recorded, and how long each is waited for, until a subscription must have shown one. */
const LIVE_TRIES_MAX = 15;
const LIVE_WAIT_MS = 1_000;

export const STORIES = {
  "the examples open as tabs, and run, in the light": (given) => examplesRun(given, false),
  "the examples open as tabs, and run, in the dark": (given) => examplesRun(given, true),
  "a live event appears": liveEventAppears,
  "documentation and explorer open": panelsOpen,
  "a link brings its query along": linkIsFollowed,
  "a token is sent with all that follows, and kept with the tab alone": tokenIsSent,
  "the plain editor runs a query": plainEditorRuns,
};

async function examplesRun({ browser, url, screenshot }, dark) {
  const begun = Date.now();
  const { page, notes, close } = await openGraphiql(browser, url, { dark });
  const took = Date.now() - begun;
  assert.equal(await page.title(), "Binnacle · GraphiQL");
  const { examples, newest } = await known(url);
  assert.deepEqual(await tabNames(page), examples.map(({ query }) => nameOf(query)));

  await press(page);
  await answerShows(page, newest.remediationId);
  await screenshot(page, dark ? "examples-dark" : "examples-light");

  await chooseTab(page, "Timeline");
  await press(page);
  await answerShows(page, '"remediation": {');
  await chooseTab(page, "Report");
  await press(page);
  await answerShows(page, '"headline": "');

  await page.reload();
  await shows(page.locator(".graphiql-query-editor"), "query ");
  assert.equal((await tabNames(page)).length, examples.length, "a reload adds no tab");
  clean(notes);
  await close();
  return `usable after ${took} ms`;
}

async function liveEventAppears({ browser, url, screenshot }) {
  const { page, notes, close } = await openGraphiql(browser, url);
  await chooseTab(page, "LiveEvents");
  await press(page);
  // Nothing tells when the server has begun to listen, so audits are recorded until one of them is seen.
  const remediationId = `rr-${randomUUID()}`;
  for (let recorded = 0, seen = false; !seen; recorded += 1) {
    assert.ok(recorded < LIVE_TRIES_MAX, "none of the audits appeared");
    await record(url, remediationId);
    seen = await answerShows(page, remediationId, LIVE_WAIT_MS).then(() => true, () => false);
  }
  await screenshot(page, "live-events");
  await press(page);
  await page.getByRole("button", { name: /^Execute query/ }).waitFor();
  assert.deepEqual([...new Set(notes.frames.map(({ type }) => type))].filter((type) => type !== "pong"), [
    "connection_init",
    "subscribe",
    "complete",
  ]);
  clean(notes);
  await close();
}

async function panelsOpen({ browser, url, screenshot }) {
  const { page, notes, close } = await openGraphiql(browser, url);
  await page.getByRole("button", { name: "Show Documentation Explorer" }).click();
  await page.locator(".graphiql-doc-explorer").getByText("Query", { exact: true }).click();
  await page.locator(".graphiql-doc-explorer").getByText("remediations", { exact: true }).waitFor();
  await screenshot(page, "documentation");

  await page.getByRole("button", { name: "Show GraphiQL Explorer" }).click();
  const explorer = page.locator(".graphiql-explorer-root");
  await explorer.getByText("environment", { exact: true }).first().click();
  await shows(page.locator(".graphiql-query-editor"), "environment");
  await screenshot(page, "explorer");
  clean(notes);
  await close();
}

async function linkIsFollowed({ browser, url }) {
  const query = "query Linked($n: Int!) { remediations(first: $n) { edges { node { remediationId } } } }";
  const path = `/graphiql?query=${encodeURIComponent(query)}&variables=${encodeURIComponent('{ "n": 1 }')}`;
  const { page, notes, close } = await openGraphiql(browser, url, { path });
  assert.equal((await tabNames(page))[0], "Linked");
  await press(page);
  await answerShows(page, (await known(url)).newest.remediationId);
  clean(notes);
  await close();
}

async function tokenIsSent({ browser, url }) {
  const { page, notes, close } = await openGraphiql(browser, url);
  await page.getByRole("button", { name: "Headers" }).click();
  await paste(page, ".graphiql-editor-tool .graphiql-editor:not(.hidden)", '{ "Authorization": "Bearer secret-of-the-test" }');
  await press(page);
  await answerShows(page, '"remediations": {');
  await chooseTab(page, "Timeline");
  await press(page);
  await answerShows(page, '"remediation": {');
  const operations = notes.requests.filter((request) => request.postDataJSON()?.extensions?.cost === true);
  assert.equal(operations.length, 2);
  for (const request of operations) assert.equal(request.headers().authorization, "Bearer secret-of-the-test");

  // A WebSocket has it in its first message.
  await chooseTab(page, "LiveEvents");
  await press(page);
  const { type, payload } = await until(() => notes.frames[0], () => "nothing was sent by WebSocket");
  assert.deepEqual([type, payload], ["connection_init", { authorization: "Bearer secret-of-the-test" }]);

  const kept = await page.evaluate(() => [JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage })]);
  assert.deepEqual(kept.map((text) => text.includes("secret-of-the-test")), [false, true]);
  clean(notes);
  await close();
}

async function plainEditorRuns({ browser, url, screenshot }) {
  const { page, notes, close } = await openPage(browser, url);
  await page.goto(`${url}/graphiql/plain`);
  await page.waitForFunction(() => document.getElementById("query").value !== "");
  await page.getByRole("button", { name: "Run" }).click();
  const { remediationId } = (await known(url)).newest;
  await page.locator("#answer", { hasText: remediationId }).waitFor();
  await screenshot(page, "plain");
  clean(notes);
  await close();
}

/** Nothing was asked for elsewhere, and nothing went wrong in the page. */
function clean(notes) {
  assert.deepEqual(notes.elsewhere, [], "requests to elsewhere");
  assert.deepEqual(notes.errors, [], "errors in the page");
}

/** Records one audit of a remediation. */
async function record(url, remediationId) {
  const input = {
    remediationId,
    clusterId: "browser-test",
    eventId: randomUUID(),
    occurredAt: new Date().toISOString(),
    notificationId: "nt-1",
    channel: "slack",
    status: "sent",
  };
  const query = "mutation ($input: NotificationInput!) { recordNotification(input: $input) { __typename } }";
  const response = await fetch(`${url}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query, variables: { input } }),
  });
  const answer = await response.json();
  assert.equal(answer.data?.recordNotification.__typename, "Recorded", JSON.stringify(answer));
}

/** What the server has: its examples, and the remediation that began last. */
async function known(url) {
  const query = "{ remediations(first: 1) { edges { node { remediationId clusterId } } } }";
  const answer = await (await fetch(`${url}/graphql?query=${encodeURIComponent(query)}`)).json();
  const examples = await (await fetch(`${url}/graphiql/examples.json`)).json();
  return { examples, newest: answer.data.remediations.edges[0].node };
}

/** The name of a document's one operation. */
function nameOf(document) {
  return document.match(/^(?:query|subscription) (\w+)/)[1];
}
