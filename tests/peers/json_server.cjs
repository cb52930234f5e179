// json-server, with a table of ours: 45 parts of two kinds. It prints its port.
const jsonServer = require("json-server");

const parts = Array.from({ length: 45 }, (_, n) => ({ id: n + 1, kind: ["pump", "valve"][n % 2] }));
const app = jsonServer.create();
app.use(jsonServer.defaults({ logger: false }));

// Below /flaky/<name>, whatever is asked for the first time under that name is answered by 503, or not at all.
const asked = new Set();
const fail = (request, response, next) => {
  if (asked.has(request.originalUrl)) return next();
  asked.add(request.originalUrl);
  return asked.size % 2 ? response.status(503).end() : request.socket.destroy();
};

// Below /wrapped, a page is an object with a flag, and it can be asked for by the key of the last row before it.
const wrapped = jsonServer.router({ parts });
wrapped.render = (request, response) => {
  const more = (response.getHeader("Link") ?? "").includes('rel="next"');
  response.jsonp({ items: response.locals.data, has_more: more });
};
const byKey = (request, response, next) => {
  if (request.query.after) request.query.id_gte = Number(request.query.after) + 1;
  next();
};

app.use("/flaky/:name", fail);
for (const root of ["/flaky/:name", ""]) {
  app.use(`${root}/wrapped`, byKey, wrapped);
  app.use(root || "/", jsonServer.router({ parts }));
}
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
