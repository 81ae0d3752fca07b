import { writeFile } from "node:fs/promises";
import path from "node:path";
import { renderAuditResultsToHTML, serverAudits } from "graphql-http";

export const title = "GraphQL over HTTP, by the audits of graphql-http";

/** Fewer would mean that the package has changed, and this check with it. */
const AUDITS = 61;

/** Runs every audit, writes the report, and fails unless all of them are passed. */
export async function check({ url, root, reports }) {
  const results = [];
  for (const audit of serverAudits({ url: `${url}/graphql` })) results.push(await audit.fn());

  const report = path.join(reports, "over-http.html");
  await writeFile(report, `<!doctype html>\n<meta charset="utf-8">\n${await renderAuditResultsToHTML(results)}`);

  const passed = results.filter(({ status }) => status === "ok");
  const told = `${passed.length} of ${results.length} audits passed (${levels(passed)}); report: ${path.relative(root, report)}`;
  const failed = results.filter(({ status }) => status !== "ok");
  if (failed.length > 0 || results.length !== AUDITS) {
    const lines = failed.map(({ id, name, reason }) => `\n  ${id} ${name}: ${reason}`);
    throw new Error(`${told}; wanted ${AUDITS} of ${AUDITS}${lines.join("")}`);
  }
  return told;
}

/** How many audits there are of each level, which is the first word of their names. */
function levels(results) {
  const of = (word) => results.filter(({ name }) => name.startsWith(`${word} `)).length;
  return ["MUST", "SHOULD", "MAY"].map((word) => `${of(word)} ${word}`).join(", ");
}
