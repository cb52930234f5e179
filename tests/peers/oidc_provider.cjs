// oidc-provider as it comes, with tokens that live for as many seconds as LIFETIME says, and an API beside it that takes
// them: /api/*. /count tells how many tokens there have been, /revoke takes all of them back.
const { pathToFileURL } = require("node:url");

const [id, secret] = ["me", "cl1ent s3cret:/+%of-mine"];
const client = (name, method) => ({
  client_id: name,
  client_secret: secret,
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
  scope: "readings:write",
  token_endpoint_auth_method: method,
});

const main = async () => {
  const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);
  const provider = new Provider("http://127.0.0.1", {
    clients: [client(id, "client_secret_basic"), client(`${id} of body`, "client_secret_post")],
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    scopes: ["readings:write", "readings:delete"],
    ttl: { ClientCredentials: Number(process.env.LIFETIME || 5) },
    cookies: { keys: ["unused"] },
    jwks: { keys: [require("node:crypto").generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" })] },
  });
  const tokens = new Set();
  let revoked = new Set();
  provider.on("client_credentials.saved", (token) => tokens.add(token.jti));
  provider.use(async (context, next) => {
    if (context.path === "/count") {
      context.body = tokens.size;
    } else if (context.path === "/revoke") {
      revoked = new Set(tokens);
      context.body = revoked.size;
    } else if (context.path.startsWith("/api/")) {
      const [, value] = (context.get("Authorization") || "").split(" ");
      const token = value && (await provider.ClientCredentials.find(value));
      const isGood = token && token.isValid && !revoked.has(token.jti);
      context.status = isGood ? 200 : 401;
      if (!isGood) context.set("WWW-Authenticate", 'Bearer error="invalid_token"');
      const offset = Number(context.query.offset || 0);
      context.body = { items: isGood && offset < 80 ? [{ scope: token.scope || "", offset }] : [] };
    } else {
      await next();
    }
  });
  const server = provider.listen(0, "127.0.0.1", () => console.log(server.address().port));
};

main();
