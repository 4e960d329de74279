// The peer of the bench "ws": Node's ws, which gives each line that comes in on its feed to all its clients.
// Arguments: the folder that has node_modules, the port for clients, the port of the feed.
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { createInterface } from "node:readline";

const [folder, port, feed] = process.argv.slice(2);
const { WebSocketServer, WebSocket } = createRequire(`${folder}/`)("ws");
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port), perMessageDeflate: false, backlog: 4096 });

createServer((socket) => {
  createInterface({ input: socket }).on("line", (line) => {
    for (const client of server.clients) if (client.readyState === WebSocket.OPEN) client.send(line);
  });
}).listen(Number(feed), "127.0.0.1");
