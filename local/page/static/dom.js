// Building and finding elements. Text only ever becomes text nodes.

// el makes an element: props are properties ("className", "onclick"), and
// attributes where they have a dash ("aria-label", "data-id") or start with
// "role"; children are nodes or strings.
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.includes('-') || name === 'role') node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((c) => c !== undefined && c !== null && c !== false));
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

const colours = 8;

// avatar fills a chip with somebody's initial, in a colour that follows from
// the name.
export function avatar(node, name) {
  node.textContent = [...name][0]?.toUpperCase() ?? '?';
  let sum = 0;
  for (const c of name) sum = (sum * 31 + c.codePointAt(0)) >>> 0;
  node.dataset.colour = sum % colours;
  return node;
}

// textWithLinks gives the text as nodes, with web addresses as links.
export function textWithLinks(text) {
  const nodes = [];
  let at = 0;
  for (const match of text.matchAll(/\bhttps?:\/\/[^\s<>"]+[^\s<>"'.,;:!?)\]}]/g)) {
    if (!URL.canParse(match[0])) continue;
    nodes.push(text.slice(at, match.index));
    nodes.push(el('a', { href: match[0], target: '_blank', rel: 'noopener noreferrer nofollow' }, match[0]));
    at = match.index + match[0].length;
  }
  nodes.push(text.slice(at));
  return nodes;
}

// marked gives the text as nodes, with the words of a query marked.
export function marked(text, query) {
  const words = query.split(/[^\p{L}\p{N}]+/u).filter(Boolean).map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  if (words.length === 0) return [text];
  return text.split(new RegExp(`(${words.join('|')})`, 'giu'))
    .map((part, i) => (i % 2 ? el('mark', {}, part) : part));
}
