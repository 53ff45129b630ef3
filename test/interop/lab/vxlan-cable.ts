// A cable between a switch and a VXLAN: vxlan-cable.ts CTL SCHEME ARGUMENT. Prints `ready`, and its counters at the end.
import { dropSnapshot } from '../../../src/core/drop.ts';
import { FrameMemory } from '../../../src/core/frame.ts';
import { VdeClient } from '../../../src/link/index.ts';
import { openVxlan, parseVxlanUrl, type VxlanScheme } from '../../../src/link/vxlan.ts';

const [path = '', scheme = 'vxlan', argument = ''] = process.argv.slice(2);
const memory = new FrameMemory();
const client = await VdeClient.connect({ path, memory, description: 'vxlan-cable' });
const tunnel = await openVxlan({ ...parseVxlanUrl(scheme as VxlanScheme, argument), memory });
client.attach(tunnel.tx);
tunnel.attach(client.tx);
process.on('SIGTERM', async () => {
  await tunnel.close();
  await client.close();
  console.log(JSON.stringify({ ...tunnel.stats, drops: dropSnapshot(tunnel.drops) }));
});
console.log('ready');
