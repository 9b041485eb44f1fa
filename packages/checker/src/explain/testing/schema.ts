/** As much of JSON Schema as FAILURE_SCHEMA uses, for tests: what is wrong with a value, by path. */

interface Schema {
  readonly type?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly pattern?: string;
}

export function schemaErrors(schema: object, value: unknown, path: string = "$"): string[] {
  const s = schema as Schema;
  if (s.anyOf !== undefined) {
    const tries = s.anyOf.map((one) => schemaErrors(one, value, path));
    return tries.some((errors) => errors.length === 0) ? [] : tries.flat();
  }
  if (s.enum !== undefined && !s.enum.includes(value)) return [`${path}: not one of ${s.enum.join()}`];
  if (s.type !== undefined && !isOfType(s.type, value)) return [`${path}: not ${s.type}`];
  if (s.minimum !== undefined && (value as number) < s.minimum) return [`${path}: below ${s.minimum}`];
  if (s.pattern !== undefined && !new RegExp(s.pattern).test(value as string))
    return [`${path}: not ${s.pattern}`];
  if (Array.isArray(value) && s.items !== undefined) {
    const { items } = s;
    return value.flatMap((one, i) => schemaErrors(items, one, `${path}[${i}]`));
  }
  return s.type === "object" ? objectErrors(s, value as Record<string, unknown>, path) : [];
}

function objectErrors(s: Schema, value: Record<string, unknown>, path: string): string[] {
  const missing = (s.required ?? []).filter((key) => !(key in value)).map((key) => `${path}.${key}: missing`);
  return Object.entries(value).reduce<string[]>((errors, [key, one]) => {
    const known = s.properties?.[key];
    if (known !== undefined) return [...errors, ...schemaErrors(known, one, `${path}.${key}`)];
    if (s.additionalProperties === false) return [...errors, `${path}.${key}: not known`];
    if (typeof s.additionalProperties !== "object") return errors;
    return [...errors, ...schemaErrors(s.additionalProperties, one, `${path}.${key}`)];
  }, missing);
}

function isOfType(type: string, value: unknown): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return typeof value === type;
}
