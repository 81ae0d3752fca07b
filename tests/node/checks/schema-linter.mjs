import { readFile } from "node:fs/promises";
import path from "node:path";
import linter from "graphql-schema-linter";

export const title = "schema.graphql is well made (graphql-schema-linter, Relay's rules among them)";

/** The rules that the schema cannot meet, each with the reason why. All others of the package hold. */
const OFF = {
  "type-fields-sorted-alphabetically":
    "Fields stand in the order in which people read them: what it is, where it stands, what came of it, what lies beneath.",
  "input-object-fields-sorted-alphabetically": "The same: what every audit has comes first, then the kind's own fields as the work goes.",
};

/** As many as graphql-schema-linter 3.0.1 has: a rule that vanished would hold of anything. */
const RULES = 19;

export async function check({ root }) {
  const text = await readFile(path.join(root, "schema.graphql"), "utf8");
  const schema = { definition: text, sourceMap: null };
  const configuration = new linter.configuration.Configuration(schema);
  const all = configuration.getAllRules();
  const unknown = Object.keys(OFF).filter((name) => !all.some((rule) => named(rule) === name));
  if (all.length !== RULES || unknown.length > 0) {
    throw new Error(`the package has ${all.length} rules, not ${RULES}; switched off, and not among them: ${unknown.join(", ") || "none"}`);
  }
  const rules = all.filter((rule) => !(named(rule) in OFF));
  const found = linter.validator.validateSchemaDefinition(schema, rules, configuration);
  if (found.length > 0) {
    const lines = found.map((error) => `schema.graphql:${error.locations[0].line}: ${error.message} (${error.ruleName})`);
    throw new Error(`${found.length} findings:\n${lines.join("\n")}`);
  }
  return `${rules.length} of ${all.length} rules ran and found nothing; switched off: ${Object.keys(OFF).join(", ")}`;
}

/** `RelayPageInfoSpec` is the rule that the package's documents call `relay-page-info-spec`. */
function named(rule) {
  return rule.name.replace(/(?<!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
}
