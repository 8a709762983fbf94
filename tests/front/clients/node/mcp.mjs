// The official client of MCP for JavaScript against the door for agents. Tells what it got as JSON.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, key] = process.argv.slice(2);
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { "X-Kit-Api-Key": key } } });
const client = new Client({ name: "test", version: "1" });
await client.connect(transport);
const { tools } = await client.listTools();
const made = await client.callTool({ name: "create_tag", arguments: { name: "From JavaScript" } });
const refused = await client.callTool({ name: "create_tag", arguments: {} });
await client.close();

console.log(JSON.stringify({ tools: tools.map((tool) => tool.name), made, refused }));
