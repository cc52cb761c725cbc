// Keeps the page fresh without reloading it: messages that have not changed stay as they are, with what is unfolded in them.
"use strict";

async function refresh() {
  const answer = await fetch(location.href);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.getElementById("providers").replaceWith(fresh.getElementById("providers"));
  const nodes = [...fresh.getElementById("messages").children].map((node) => {
    const known = node.id && document.getElementById(node.id);
    if (!known) return node;
    if (known.dataset.state !== node.dataset.state) {
      known.dataset.state = node.dataset.state;
      known.querySelector("header").replaceWith(node.querySelector("header"));
    }
    return known;
  });
  const list = document.getElementById("messages");
  const unchanged = list.children.length === nodes.length && nodes.every((node, i) => node === list.children[i]);
  if (unchanged) return;
  // A frame that is moved loads again, so only what is new is put in and what is gone is taken out.
  const wanted = new Set(nodes);
  for (const node of [...list.children]) if (!wanted.has(node)) node.remove();
  nodes.forEach((node, i) => {
    if (list.children[i] !== node) list.insertBefore(node, list.children[i] ?? null);
  });
}

async function keepFresh() {
  try {
    if (!document.hidden) await refresh();
  } catch {
    // The simulator is away; it is asked again.
  }
  setTimeout(keepFresh, 2000);
}

setTimeout(keepFresh, 2000);
