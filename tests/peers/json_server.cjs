// json-server, with a table of ours: 45 parts of two kinds. It prints its port.
const jsonServer = require("json-server");

const parts = Array.from({ length: 45 }, (_, n) => ({ id: n + 1, kind: ["pump", "valve"][n % 2] }));
const app = jsonServer.create();
app.use(jsonServer.defaults({ logger: false }));
app.use(jsonServer.router({ parts }));
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
