// The plain editor: asks what is typed, and shows the answer. It speaks no WebSocket, so it leaves subscriptions out.

const element = (id) => document.getElementById(id);

async function run() {
  const headers = { "content-type": "application/json" };
  if (element("token").value) headers.authorization = `Bearer ${element("token").value}`;
  try {
    const variables = JSON.parse(element("variables").value || "{}");
    const body = JSON.stringify({ query: element("query").value, variables });
    const response = await fetch("/graphql", { method: "POST", headers, body });
    element("answer").textContent = JSON.stringify(await response.json(), null, 2);
  } catch (error) {
    element("answer").textContent = String(error);
  }
}

function show({ query, variables }) {
  element("query").value = query;
  element("variables").value = variables;
}

/** Fills the list of examples, and shows what the address asks for, or else the first of them. */
async function open() {
  const asked = new URLSearchParams(location.search);
  if (asked.get("query")) show({ query: asked.get("query"), variables: asked.get("variables") || "{}" });

  const all = await (await fetch("/graphiql/examples.json")).json();
  const examples = all
    .filter(({ query }) => !query.startsWith("subscription"))
    .map(({ title, query, ofOne }) => ({ title, query, variables: ofOne ? '{ "id": "", "cluster": null }' : "{}" }));
  element("example").append(...examples.map(({ title }, index) => new Option(title, index)));
  element("example").addEventListener("change", (event) => show(examples[event.target.value]));
  if (!asked.get("query")) show(examples[0]);
}

element("editor").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
element("editor").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element("editor").requestSubmit();
});
open();
