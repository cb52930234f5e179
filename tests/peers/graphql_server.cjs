// A GraphQL server, whose engine and HTTP others wrote: people in pages, and readings that are stored. It prints its port.
const http = require("node:http");
const { GraphQLError, buildSchema } = require("graphql");
const { createHandler } = require("graphql-http/lib/use/http");

const schema = buildSchema(`
  type Query { person(id: ID!): Person, people(team: String!, first: Int!, after: String): People!, readings: [Reading!]! }
  type Mutation { storeReading(reading: NewReading!): Reading }
  type Person { id: ID!, name: String!, team: String! }
  type People { nodes: [Person!]!, pageInfo: PageInfo! }
  type PageInfo { hasNextPage: Boolean!, endCursor: String }
  type Reading { id: ID!, value: Float! }
  input NewReading { id: ID!, value: Float! }
`);
const people = Array.from({ length: 50 }, (_, n) => ({ id: `${n}`, name: `person {${n}}`, team: ["red", "blue"][n % 2] }));
const readings = new Map();
const throttled = new Set();

const rootValue = {
  person: ({ id }) => people.find((person) => person.id === id),
  people: ({ team, first, after }) => {
    const all = people.filter((person) => person.team === team);
    const start = after ? all.findIndex((person) => person.id === after) + 1 : 0;
    const nodes = all.slice(start, start + first);
    const pageInfo = { hasNextPage: start + first < all.length, endCursor: nodes.at(-1)?.id };
    return { nodes, pageInfo };
  },
  readings: () => [...readings.values()],
  storeReading: ({ reading }) => {
    if (reading.value < 0) throw new Error(`a value of ${reading.value} is out of range`);
    if (reading.value > 40 && !throttled.has(reading.id)) {
      throttled.add(reading.id);
      throw new GraphQLError("too fast", { extensions: { code: "THROTTLED" } });
    }
    readings.set(reading.id, reading);
    return reading;
  },
};

// Below /flaky, whatever is asked for the first time is answered by 503.
const asked = new Set();
const answer = createHandler({ schema, rootValue });
const server = http.createServer((request, response) => {
  const key = request.headers["idempotency-key"];
  if (request.url.startsWith("/flaky") && !asked.has(key)) {
    asked.add(key);
    request.resume();
    response.writeHead(503).end();
  } else {
    answer(request, response);
  }
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
