// Answers one line of JSON with one: what a function of a module gives, or what a script posts, in a thread of its own
// with modules of its own, so that what it changes of them and of the globals ends with it. What these write to the
// console goes to stderr: a line of stdout is an answer.
import { createInterface } from "node:readline";
import { Worker } from "node:worker_threads";

console.log = console.error;

async function called({ module, name, given }) {
  return JSON.stringify((await (await import(module))[name](...given)) ?? null);
}

function posted({ script }) {
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`), { stdout: true });
  worker.stdout.pipe(process.stderr);
  const found = new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", () => reject(new Error("it ended without an answer")));
  });
  return found.finally(() => worker.terminate());
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const answer = await (asked.script ? posted(asked) : called(asked)).then(
    (found) => ({ found }),
    (error) => ({ error: error?.stack ?? String(error) }),
  );
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
