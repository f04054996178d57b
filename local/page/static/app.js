// The page: logs in, then lets the parts hear of each other.

import { Api } from './api.js';
import { Banner } from './banner.js';
import { Channels } from './channels.js';
import { Composer } from './composer.js';
import { browse, confirm, newChannel } from './dialogs.js';
import { avatar, byId } from './dom.js';
import { History } from './history.js';
import { Outbox } from './outbox.js';
import { Search } from './search.js';
import { Session } from './session.js';
import { Sidebar } from './sidebar.js';
import { Socket } from './socket.js';
import { Timeline } from './timeline.js';

// showLogin is the page of somebody who is not logged in.
function showLogin(session, text) {
  byId('app').hidden = true;
  byId('start').hidden = false;
  byId('start').setAttribute('aria-busy', 'false');
  document.body.dataset.view = 'start';
  byId('start-text').textContent = text;
  const button = byId('login');
  button.hidden = !session;
  button.onclick = () => session.login().catch((err) => { byId('start-text').textContent = err.message; });
}

async function main() {
  let session;
  let fault = '';
  try {
    const response = await fetch('/v1/config', { signal: AbortSignal.timeout(15_000) });
    if (!response.ok) throw new Error(`The server answered ${response.status}.`);
    const config = await response.json();
    session = new Session(config);
    await session.finishLogin().catch((err) => { fault = err.message; });
    if (!session.active) return showLogin(session, fault || 'Talk with others, in channels.');
    run(session, config);
  } catch (err) {
    showLogin(session, `The chat cannot be reached. ${err.message}`);
    setTimeout(main, 5000);
  }
}

function run(session, config) {
  const me = session.user;
  const api = new Api(session);
  const channels = new Channels(api, me);
  const history = new History(api);
  const outbox = new Outbox(api, me);
  const socket = new Socket(session, config.websocket_path);
  const banner = new Banner(socket);
  const sidebar = new Sidebar(channels);
  const timeline = new Timeline(history, outbox, me);
  const composer = new Composer();
  const search = new Search(api, channels);
  let loaded = false; // the channels are known

  byId('start').hidden = true;
  byId('app').hidden = false;
  byId('me-name').textContent = session.name;
  avatar(byId('me-avatar'), session.name);

  session.addEventListener('ended', (e) => {
    socket.stop(e.detail);
    showLogin(session, e.detail);
  });

  // route shows what the address says: #/c/CHANNEL, and #/c/CHANNEL/SEQUENCE
  // for a message.
  async function route() {
    const [, id, seq] = location.hash.match(/^#\/c\/([\w-]+)(?:\/(\d+))?$/) ?? [];
    if (!loaded) return;
    const channel = id && await channels.find(id);
    if (id && !channel) {
      banner.say('You are not in that channel.');
      return go(null);
    }
    show(channel ?? null);
    if (!channel) return;
    // Now, not once the messages are there: by then somebody may be elsewhere.
    if (!seq && !document.activeElement?.matches('input, textarea')) composer.focus();
    await timeline.open(id, Number(seq) || undefined);
  }

  function show(channel) {
    document.body.dataset.view = channel ? 'channel' : 'list';
    byId('channel-name').textContent = channel?.name ?? 'Welcome';
    byId('channel-topic').textContent = channel?.topic ?? '';
    byId('leave').hidden = !channel;
    byId('empty').hidden = Boolean(channel);
    byId('scroller').hidden = !channel;
    sidebar.open(channel?.id ?? null);
    composer.open(channel?.id ?? null);
    search.open(channel?.id ?? null);
    if (!channel) {
      history.close();
      byId('to-latest').hidden = true;
    }
  }

  function go(id) {
    const hash = id ? `#/c/${id}` : '#/';
    if (location.hash === hash) return route();
    location.hash = hash;
  }

  // reload reads everything anew: at the start, and where a resume was refused.
  // The socket is live before, so nothing falls between.
  async function reload() {
    try {
      await channels.load();
    } catch (err) {
      if (!session.active) return;
      banner.say(`The channels cannot be read: ${err.message}`);
      setTimeout(() => socket.state === 'live' && reload(), 3000);
      return;
    }
    const first = !loaded;
    loaded = true;
    if (first || !channels.get(history.channel)) await route();
    else await history.catchUp();
    outbox.flush();
  }

  socket.addEventListener('ready', reload);

  socket.addEventListener('resumed', ({ detail }) => {
    if (detail.limited_all) return reload();
    const missed = (detail.limited ?? []).map((l) => l.channel_id);
    if (missed.includes(history.channel)) history.catchUp();
    channels.recount(missed);
    outbox.flush();
  });

  socket.addEventListener('event', ({ detail: event }) => {
    const data = event.data;
    switch (event.type) {
      case 'chat.message.sent.v1': {
        const message = { ...data, seq: event.seq, channel_id: event.channel_id };
        const mine = message.author_id === me;
        const gap = channels.heard(message, event.prev, mine);
        if (event.channel_id === history.channel) {
          if (gap) history.catchUp();
          else history.add(message);
        }
        if (mine) outbox.heard(message.client_id);
        return;
      }
      case 'chat.member.joined.v1':
        if (data.user_id === me && loaded && !channels.get(event.channel_id)) channels.load().catch(() => {});
        return;
      case 'chat.member.left.v1':
        if (data.user_id === me) gone(event.channel_id);
        return;
      default: // of a later version
    }
  });

  function gone(id) {
    channels.remove(id);
    if (history.channel === id) go(null);
  }

  outbox.addEventListener('sent', ({ detail: { channel, message } }) => {
    if (channel === history.channel) history.add(message);
  });

  timeline.addEventListener('read', ({ detail: { channel, seq } }) => channels.read(channel, seq));
  timeline.addEventListener('reply', ({ detail: message }) => composer.reply(message));
  timeline.addEventListener('jump', ({ detail: message }) => { location.hash = `#/c/${message.channel_id}/${message.seq}`; });
  composer.addEventListener('send', ({ detail: { text, replyTo } }) => {
    outbox.add(history.channel, text, replyTo);
    if (history.moreAfter) timeline.toEnd();
  });

  byId('new-channel').onclick = () => newChannel(api, (channel) => {
    channels.add(channel);
    go(channel.id);
  });
  byId('browse').onclick = () => browse(api, {
    joined: (channel) => {
      channels.add(channel);
      go(channel.id);
    },
    open: go,
  });
  byId('leave').onclick = () => {
    const { id, name } = channels.get(history.channel);
    confirm(`Leave ${name}?`, () => api.leave(id).then(() => gone(id), (err) => banner.say(err.message)));
  };
  byId('logout').onclick = () => {
    socket.stop('Logging out…');
    session.logout();
  };
  byId('skip').onclick = (e) => {
    e.preventDefault();
    byId('compose-text').focus();
  };
  addEventListener('hashchange', route);
  addEventListener('keydown', (e) => {
    if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k') {
      e.preventDefault();
      search.focus();
    } else if (e.altKey && (e.key === 'ArrowDown' || e.key === 'ArrowUp')) {
      const id = sidebar.step(e.key === 'ArrowDown' ? 1 : -1);
      if (id) go(id);
    }
  });

  socket.start();
}

main();
