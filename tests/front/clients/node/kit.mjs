// A client made from Kit's own description of its API, of which only the base URL is another. Tells what it did as JSON.
import { readFileSync } from "node:fs";
import { OpenAPIClientAxios } from "openapi-client-axios";

const [contract, url, key] = process.argv.slice(2);
const definition = JSON.parse(readFileSync(contract, "utf8"));
const api = new OpenAPIClientAxios({
  definition,
  withServer: { url },
  axiosConfigDefaults: { headers: { "X-Kit-Api-Key": key }, validateStatus: () => true },
});
await api.init();

const told = [];
async function did(method, path, ids = null, body = undefined, query = {}) {
  const operation = api.getOperations().find((one) => one.method === method && one.path === path);
  const answer = await api.client[operation.operationId]({ ...ids, ...query }, body);
  told.push([`${method.toUpperCase()} ${path}`, answer.status]);
  return answer.data;
}

const { account } = await did("get", "/v4/account");
const { tag } = await did("post", "/v4/tags", null, { name: "Node" });
await did("put", "/v4/tags/{id}", { id: tag.id }, { name: "Node.js" });
await did("post", "/v4/custom_fields", null, { label: "City" });
const bea = { email_address: "bea@node.example", first_name: "Bea", fields: { city: "Rome" } };
const { subscriber } = await did("post", "/v4/subscribers", null, bea);
await did("post", "/v4/tags/{tag_id}/subscribers/{id}", { tag_id: tag.id, id: subscriber.id });
const tagged = await did("get", "/v4/tags/{tag_id}/subscribers", { tag_id: tag.id }, null, { include_total_count: true });
const { sequence } = await did("post", "/v4/sequences", null, { name: "Course" });
const email = { subject: "Hello", content: "<p>Hi</p>", delay_value: 3, delay_unit: "days", published: true };
const made = await did("post", "/v4/sequences/{sequence_id}/emails", { sequence_id: sequence.id }, email);
await did("post", "/v4/sequences/{sequence_id}/subscribers", { sequence_id: sequence.id }, { email_address: bea.email_address });
await did("delete", "/v4/sequences/{sequence_id}/emails/{id}", { sequence_id: sequence.id, id: made.email.id });
await did("post", "/v4/subscribers/{id}/unsubscribe", { id: subscriber.id });
const left = await did("get", "/v4/subscribers", null, null, { status: "cancelled", email_address: bea.email_address });
await did("get", "/v4/subscribers/{id}", { id: 999999999 });
await did("post", "/v4/tags", null, { name: "" });

console.log(JSON.stringify({ account, tagged, left, told }));
