// What the page opens with: a link's query, the tabs that were left, or the server's examples.

import { ask } from "./fetcher.js";

/** The newest remediation that has come to its end, or else the newest of all. */
const NEWEST = `query Newest {
  settled: remediations(first: 1, filter: { settled: true }) { edges { node { ...name } } }
  any: remediations(first: 1) { edges { node { ...name } } }
}
fragment name on Remediation { remediationId clusterId }`;

/** What the headers of a new tab say. */
export const HEADERS_HINT = `{
  // "Authorization": "Bearer …"
  // Once sent, it goes with the requests of the other tabs too, until this browser tab is closed.
}`;

/** The server's worked examples, those about one remediation with the name of one that is there. */
export async function exampleTabs() {
  const response = await fetch("/graphiql/examples.json");
  const [examples, variables] = [await response.json(), await newest()];
  return examples.map(({ title, query, ofOne }) => ({
    query: `# ${title}\n${query}`,
    variables: ofOne ? JSON.stringify(variables, null, 2) : "",
    headers: HEADERS_HINT,
  }));
}

/** The tab for a link that brings a query along: `/graphiql?query=…&variables=…`. */
export function linkedTab() {
  const asked = new URLSearchParams(location.search);
  const query = asked.get("query");
  return query ? { query, variables: asked.get("variables") ?? "", headers: HEADERS_HINT } : undefined;
}

/**
 * The tab that was looked at before a reload. GraphiQL keeps its tabs, but finds this one among them by what the editors
 * held, and that it keeps at other times; not found, it would come a second time.
 */
export function leftTab() {
  const { tabs, activeTabIndex } = JSON.parse(sessionStorage.getItem("graphiql:tabState")) ?? {};
  const left = tabs?.[activeTabIndex];
  return left && { query: left.query ?? "", variables: left.variables ?? "", headers: left.headers ?? "" };
}

async function newest() {
  try {
    const { settled, any } = await ask(NEWEST);
    const { remediationId, clusterId } = [...settled.edges, ...any.edges][0].node;
    return { id: remediationId, cluster: clusterId };
  } catch {
    // Nothing is recorded yet, or a token is needed first: the examples are worth reading nevertheless.
    return { id: "the remediation's name", cluster: "its cluster" };
  }
}
