// How the page speaks to the server: queries and mutations by POST, subscriptions by WebSocket, both at `/graphql`.

import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { Kind, parse } from "graphql";
import { createClient } from "graphql-ws";

const URL_HTTP = new URL("/graphql", location.href).href;
const URL_SOCKET = URL_HTTP.replace(/^http/, "ws");

/** Where the token that was used last is kept, for as long as this tab of the browser is open. */
const TOKEN = "binnacle:authorization";

/** Sends what the editor holds; the answer tells its cost. */
export async function fetcher(params, options = {}) {
  const headers = authorized(options.headers ?? {});
  const send = createGraphiQLFetcher({
    url: URL_HTTP,
    enableIncrementalDelivery: false,
    // A browser cannot send headers with a WebSocket, so they are the first message in it. It connects when it is first
    // used. Where it breaks off, that is told: to go on by itself would hide what was missed meanwhile.
    wsClient: createClient({ url: URL_SOCKET, connectionParams: headers, retryAttempts: 0 }),
  });
  if (params.operationName === "IntrospectionQuery") return send(params, { headers });
  const { operationName, documentAST } = inStep(params, options.documentAST);
  return send({ ...params, operationName, extensions: { cost: true } }, { headers, documentAST });
}

/** The operation's name and the document as they are in the query now: GraphiQL learns of both a moment after each change. */
function inStep({ query, operationName }, stale) {
  try {
    const documentAST = parse(query);
    const operations = documentAST.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
    const names = operations.map(({ name }) => name?.value);
    if (names.includes(operationName)) return { operationName, documentAST };
    return { operationName: names.length === 1 ? names[0] : undefined, documentAST };
  } catch {
    return { operationName, documentAST: stale }; // the server says better what is wrong
  }
}

/** Asks one query, outside of the editor; throws where it is not answered with data. */
export async function ask(query) {
  const response = await fetch(URL_HTTP, {
    method: "POST",
    headers: authorized({ "content-type": "application/json" }),
    body: JSON.stringify({ query }),
    signal: AbortSignal.timeout(3_000),
  });
  const { data, errors } = await response.json();
  if (!data) throw new Error(errors?.[0]?.message ?? "the answer has no data");
  return data;
}

/** The headers with the token: that of the headers themselves, which is kept for the other tabs, else the one kept. */
function authorized(headers) {
  const name = Object.keys(headers).find((name) => name.toLowerCase() === "authorization");
  if (name) {
    sessionStorage.setItem(TOKEN, headers[name]);
    return headers;
  }
  const token = sessionStorage.getItem(TOKEN);
  return token ? { ...headers, authorization: token } : headers;
}
