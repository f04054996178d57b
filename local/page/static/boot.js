// Where a part of the page did not arrive, nothing of app.js runs: say so, and
// try again.
addEventListener('error', (event) => {
  if (event.target?.tagName !== 'SCRIPT') return;
  document.getElementById('start-text').textContent = 'The page could not be loaded. Trying again…';
  setTimeout(() => location.reload(), 3000);
}, true);
