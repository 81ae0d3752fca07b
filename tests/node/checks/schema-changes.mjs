import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { CriticalityLevel, DiffRule, diff } from "@graphql-inspector/core";
import { buildSchema } from "graphql";

export const title = "schema.graphql keeps what clients were promised (@graphql-inspector)";

/** What clients were promised last; `make accept-schema` renews it. */
const PROMISED = "schema.promised.graphql";

export async function check({ root, reports }) {
  const read = async (name) => buildSchema(await readFile(path.join(root, name), "utf8"));
  // What was promised as deprecated may go: clients have been told.
  const changes = await diff(await read(PROMISED), await read("schema.graphql"), [DiffRule.suppressRemovalOfDeprecatedField]);
  const lines = (level) => changes.filter(({ criticality }) => criticality.level === level).map(({ message }) => message);
  const breaking = lines(CriticalityLevel.Breaking);
  const dangerous = lines(CriticalityLevel.Dangerous);
  const fine = lines(CriticalityLevel.NonBreaking);
  const report = [["breaking", breaking], ["dangerous", dangerous], ["fine", fine]]
    .map(([name, messages]) => `${name}: ${messages.length}\n${messages.map((message) => `  ${message}\n`).join("")}`)
    .join("");
  await writeFile(path.join(reports, "schema-changes.txt"), report);
  if (breaking.length > 0) {
    throw new Error(
      `${breaking.length} changes break clients that hold to ${PROMISED}:\n  ${breaking.join("\n  ")}\n` +
        "Deprecate first; CONTRIBUTING.md, \"… a change that breaks clients\", says when `make accept-schema` is right.",
    );
  }
  const warned = dangerous.map((message) => `\n  dangerous: ${message}`).join("");
  return `nothing breaks; ${dangerous.length} dangerous changes, ${fine.length} others${warned}`;
}
