// The dialogs: a new channel, the public channels, and "are you sure?".

import { byId, el } from './dom.js';
import { uuidv7 } from './uuid.js';

for (const button of document.querySelectorAll('dialog [data-close]')) {
  button.onclick = () => button.closest('dialog').close();
}
for (const dialog of document.querySelectorAll('dialog')) {
  dialog.addEventListener('click', (e) => e.target === dialog && dialog.close()); // on the backdrop
}

// newChannel asks for a channel and gives it to done once it is there.
export function newChannel(api, done) {
  const form = byId('create-form');
  const fault = byId('create-fault');
  const clientID = uuidv7(); // the same for every attempt, so that a retry is no second channel
  form.reset();
  fault.textContent = '';
  form.onsubmit = async (e) => {
    e.preventDefault();
    const name = byId('create-name').value.trim();
    if (!name) {
      fault.textContent = 'Please give the channel a name.';
      return byId('create-name').focus();
    }
    const submit = form.querySelector('[type=submit]');
    submit.disabled = true;
    fault.textContent = '';
    try {
      const { channel } = await api.createChannel({
        name, topic: byId('create-topic').value.trim(), visibility: new FormData(form).get('visibility'), client_id: clientID,
      });
      byId('create').close();
      done({ ...channel, role: 'owner' });
    } catch (err) {
      fault.textContent = err.message;
    } finally {
      submit.disabled = false;
    }
  };
  byId('create').showModal();
}

// browse lists the public channels; joined gets one that was joined, open one
// that one is in already.
export function browse(api, { joined, open }) {
  const dialog = byId('public');
  const list = byId('public-list');
  const note = byId('public-note');
  const more = byId('public-more');
  list.replaceChildren();

  const row = (channel) => {
    const button = el('button', { type: 'button', className: channel.member ? 'plain' : 'primary' }, channel.member ? 'Open' : 'Join');
    button.setAttribute('aria-label', `${button.textContent} ${channel.name}`);
    button.onclick = async () => {
      button.disabled = true;
      try {
        if (!channel.member) joined({ ...channel, ...(await api.join(channel.id)), member: true });
        else open(channel.id);
        dialog.close();
      } catch (err) {
        note.textContent = err.message;
        button.disabled = false;
      }
    };
    return el('li', { 'data-id': channel.id },
      el('span', { className: 'public-text' }, el('strong', {}, channel.name), channel.topic && el('span', { className: 'topic' }, channel.topic)),
      button);
  };
  const page = async (cursor) => {
    note.textContent = 'Loading…';
    more.hidden = true;
    try {
      const answer = await api.channels('public', cursor);
      list.append(...answer.channels.map(row));
      note.textContent = list.children.length ? '' : 'There are none yet. Create the first.';
      more.hidden = !answer.has_more;
      more.onclick = () => page(answer.cursor);
    } catch (err) {
      note.textContent = err.message;
    }
  };
  dialog.showModal();
  return page();
}

// confirm asks, and calls yes if that is the answer.
export function confirm(text, yes) {
  const dialog = byId('confirm');
  byId('confirm-text').textContent = text;
  byId('confirm-yes').onclick = () => {
    dialog.close();
    yes();
  };
  dialog.showModal();
}
