// The page `/graphiql`: GraphiQL with the server's worked examples.

import "./workers.js";
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";

import { explorerPlugin } from "@graphiql/plugin-explorer";
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { createRoot } from "react-dom/client";

import { fetcher } from "./fetcher.js";
import { HEADERS_HINT, exampleTabs, leftTab, linkedTab } from "./tabs.js";

const PLUGINS = [explorerPlugin({ showAttribution: false }), HISTORY_PLUGIN];

const [linked, left] = [linkedTab(), leftTab()];
// A link is followed once; a reload then shows what was typed since.
history.replaceState(null, "", location.pathname);
// GraphiQL itself restores the tabs that were left; the examples are for who has none yet.
const tabs = left ? [] : [linked, ...(await exampleTabs())].filter(Boolean);
const shown = linked ?? left ?? tabs[0];

createRoot(document.getElementById("console")).render(
  <GraphiQL
    fetcher={fetcher}
    plugins={PLUGINS}
    defaultTabs={tabs}
    defaultHeaders={HEADERS_HINT}
    initialQuery={shown.query}
    initialVariables={shown.variables}
    initialHeaders={shown.headers}
    defaultEditorToolsVisibility="variables"
    schemaDescription
    // Tokens are among what is kept, so all of it is forgotten with the browser's tab.
    storage={sessionStorage}
    shouldPersistHeaders
    showPersistHeadersSettings={false}
  >
    <GraphiQL.Logo>
      <a className="graphiql-logo-link" href="/">Binnacle</a>
    </GraphiQL.Logo>
  </GraphiQL>,
);
