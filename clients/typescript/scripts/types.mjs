// Writes src/api.d.ts from an OpenAPI document: node scripts/types.mjs < openapi.json > src/api.d.ts
// Handles what that document uses: objects, arrays, enums, anyOf, refs, maps. No dependencies.

import { readFileSync } from "node:fs";

const document = JSON.parse(readFileSync(0, "utf8"));

function type(schema) {
  if (schema === true || Object.keys(schema).length === 0) return "unknown";
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.anyOf) return schema.anyOf.map(type).join(" | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (Array.isArray(schema.type)) return schema.type.map((kind) => type({ ...schema, type: kind })).join(" | ");
  switch (schema.type) {
    case "array":
      if (schema.minItems === 2 && schema.maxItems === 2 && schema.items) return `[${type(schema.items)}, ${type(schema.items)}]`;
      return `Array<${type(schema.items ?? {})}>`;
    case "object":
      return schema.properties ? fields(schema) : `Record<string, ${type(schema.additionalProperties || {})}>`;
    case "integer":
    case "number":
      return "number";
    case "string":
    case "boolean":
    case "null":
      return schema.type;
    default:
      return "unknown";
  }
}

function fields(schema, indent = "") {
  const needed = new Set(schema.required ?? []);
  const lines = Object.entries(schema.properties).map(
    ([name, inner]) => `${indent}  ${/^\w+$/.test(name) ? name : JSON.stringify(name)}${needed.has(name) ? "" : "?"}: ${type(inner)};`,
  );
  return `{\n${lines.join("\n")}\n${indent}}`;
}

const asked = /(Body|Selection)$/;
console.log("// Made by scripts/types.mjs from the OpenAPI document. Not to be edited.\n");
for (const [name, schema] of Object.entries(document.components.schemas).sort(([one], [other]) => (one < other ? -1 : 1))) {
  if (schema.description) console.log(`/** ${schema.description.split("\n")[0].trim().replaceAll("*/", "* /")} */`);
  // The server always gives all fields; what is sent may leave out those with a default.
  const whole = asked.test(name) || name === "Problem" ? schema : { ...schema, required: Object.keys(schema.properties ?? {}) };
  if (schema.properties) console.log(`export interface ${name} ${fields(whole)}\n`);
  else console.log(`export type ${name} = ${type(schema)};\n`);
}
