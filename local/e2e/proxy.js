// Proxy is a wire to the platform that can be cut.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

// openProxy gives {url, cut, mute, mend, close}. cut ends all connections and
// refuses new ones; mute lets requests through but no answers; mend undoes both.
export async function openProxy(target) {
  const { port, hostname } = new URL(target);
  const sockets = new Set();
  let cut = false;
  let mute = false;
  const server = createServer((near) => {
    if (cut) return near.destroy();
    const far = connect(Number(port), hostname === 'localhost' ? '127.0.0.1' : hostname);
    near.pipe(far);
    far.on('data', (b) => {
      if (!mute && !near.write(b)) {
        far.pause();
        near.once('drain', () => far.resume());
      }
    });
    for (const s of [near, far]) {
      sockets.add(s);
      s.on('error', () => {});
      s.on('close', () => sockets.delete(s));
    }
    near.on('close', () => far.destroy());
    far.on('close', () => near.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const hangUp = () => { for (const s of sockets) s.destroy(); };
  return {
    url: `http://localhost:${server.address().port}`,
    cut() {
      cut = true;
      hangUp();
    },
    mute() { mute = true; },
    mend() {
      if (mute) hangUp();
      cut = false;
      mute = false;
    },
    async close() {
      cut = true;
      hangUp();
      server.close();
      await once(server, 'close');
    },
  };
}
