/** What goes where, in a line: "sensors (source_db) → PUT https://api.example.com/sensors/{id}". Pure. */

const MOST_TABLES = 2;
// What has a FROM of its own that names no table.
const OTHER_FROM = /\b(?:extract|trim|substring|overlay)\s*\([^()]*\)|\bdistinct\s+from\b/gi;
const NO_CODE = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'/g;
const WITH = /(?:\bwith(?:\s+recursive)?|,)\s+([\w"]+)\s*(?:\([^()]*\)\s*)?as\s+(?:(?:not\s+)?materialized\s+)?\(/gi;
const TABLE = /\b(?:from|join)\s+(?:only\s+)?((?:[\w$]+|"[^"]+"|`[^`]+`|\[[^\]]+\])(?:\.(?:[\w$]+|"[^"]+"|`[^`]+`|\[[^\]]+\]))*)(?!\s*\(|[\w$.])/gi;

const bare = (name) => name.replace(/["`[\]]/g, "");

/** The tables that a query names; not what it calls its own parts. */
export function tablesOf(sql) {
  const code = sql.replace(NO_CODE, " ").replace(OTHER_FROM, " ");
  const parts = new Set([...code.matchAll(WITH)].map(([, name]) => bare(name).toLowerCase()));
  const named = [...code.matchAll(TABLE)].map(([, name]) => bare(name));
  return [...new Set(named)].filter((name) => !parts.has(name.toLowerCase()) && name.toLowerCase() !== "lateral");
}

const within = (name, connection) => (connection ? `${name} (${connection})` : name);

function sourceOf({ sql, items, dead_letters: letters, sql_conn_id: connection }, isFetch) {
  if (typeof sql === "string" && sql.trim()) {
    const tables = tablesOf(sql);
    const shown = tables.slice(0, MOST_TABLES).join(", ") + (tables.length > MOST_TABLES ? ", …" : "");
    return within(shown || "a query", connection);
  }
  if (letters) return "dead letters";
  if (items != null) return Array.isArray(items) && items.length === 1 ? "1 item" : "given items";
  return isFetch ? "the window" : null;
}

function addressOf(endpoint, api) {
  if (/^https?:\/\//.test(endpoint)) return endpoint;
  return `${api.replace(/\/+$/, "")}/${endpoint.replace(/^\/+/, "")}`;
}

const TARGET = /^(?:Delivering to|Fetching) (?:([A-Z]+) )?(\S+?)(?:(, up to [\d,]+ items? a request),)?(?=\s|$)/;

/** "PUT https://api.example.com/sensors/{id}"; `target` is what the log says as well: "Delivering to PUT sensors/{id} at …". */
function requestOf({ endpoint, http_conn_id: connection }, { api, target = "" }) {
  const [, method, path, many = ""] = TARGET.exec(target) ?? [];
  const where = method ? path : (endpoint ?? null);
  if (!api) return where && within(where, connection);
  const address = where === null ? api : addressOf(where, api);
  return (method ? `${method} ${address}` : address) + many;
}

/** Of another operator, with arguments of the same names, these may be anything. */
const wellFormed = (fields) =>
  Object.fromEntries(
    Object.entries(fields ?? {}).filter(([name, value]) => name === "items" || name === "dead_letters" || typeof value === "string"),
  );

/**
 * What goes where.
 *
 * @param fields the arguments with which the task runs, as Airflow keeps them: secrets are masked there.
 * @param figures its report, or its progress; null where it has left none.
 * @returns the parts of the way, from where to where; none where nothing is known.
 */
export function routeOf(fields, figures, isFetch = false) {
  const known = wellFormed(fields);
  const request = requestOf(known, figures ?? {});
  if (!request) return [];
  const table = isFetch && known.destination_table ? within(known.destination_table, known.destination_conn_id) : null;
  return [sourceOf(known, isFetch), request, table].filter(Boolean);
}
